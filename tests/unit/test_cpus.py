"""`make test-cpus`: which levels run, and that a failure is one."""

from pathlib import Path

import pytest

from sttd.consumer.engine.model import cpu
from tools import cpus

ROOT = Path(__file__).resolve().parents[2]


def run_with(monkeypatch: pytest.MonkeyPatch, flags: str, failing: str = "") -> tuple[int, list[str]]:
    """Exit code, and the levels that ran, on a CPU with these flags."""
    ran: list[str] = []

    def outcome(level: cpus.Level) -> str:
        ran.append(level.name)
        return "failed" if level.name == failing else "passed"

    monkeypatch.setattr(cpu, "here", lambda: cpu.Cpu("x", frozenset(flags.split())))
    monkeypatch.setattr(cpus, "_outcome", outcome)
    return cpus.main(), ran


def test_a_machine_runs_its_own_levels_and_names_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What has not run must not look as if it had."""
    assert run_with(monkeypatch, "sse4_1 avx2") == (0, ["SSE4.1", "AVX2"])
    told = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0].strip() for line in told if "not run" in line] == [
        "AVX2 with VNNI",
        "AVX-512 without VNNI",
        "AVX-512 with VNNI",
        "AMX",
    ]


def test_one_level_that_fails_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The levels after it run all the same."""
    assert run_with(monkeypatch, "sse4_1 avx2", failing="SSE4.1") == (1, ["SSE4.1", "AVX2"])


def test_the_tests_that_it_names_are_there() -> None:
    """A renamed file would run nothing."""
    assert all((ROOT / name).is_file() for level in cpus.LEVELS for name in level.tests)
