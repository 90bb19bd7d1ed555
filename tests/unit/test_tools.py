"""The tools' own command lines."""

import runpy
import sys
from pathlib import Path
from typing import Final

import pytest

TOOLS: Final = Path(__file__).parents[2] / "tools"
INSIDE: Final = {"callers.py", "compose_check/bot.py"}
"""Started by other tools only."""

PROGRAMS: Final = sorted(
    path for path in TOOLS.rglob("*.py") if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(TOOLS)))
def test_a_tool_that_is_asked_for_help_prints_its_usage_and_does_no_work(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m tools.voices --help` fetched 250 MB."""
    if str(path.relative_to(TOOLS)) in INSIDE:
        pytest.skip("no person starts it")
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code in {0, 2}
    output = capsys.readouterr()
    assert "usage: " in output.out + output.err
