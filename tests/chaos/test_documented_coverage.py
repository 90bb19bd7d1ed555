"""tests/chaos/README.md names the test behind each row; every name must exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "tests" / "chaos" / "README.md"
ROWS = {*range(1, 55), *range(84, 97)}


def test_every_test_that_the_page_names_exists() -> None:
    """A claim of coverage that nothing covers is worse than none."""
    there = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }

    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))

    assert named
    assert named <= there, f"named in {PAGE.name} but nowhere in tests/: {sorted(named - there)}"


def test_every_row_of_the_two_tables_is_spoken_for() -> None:
    """Broker, protocol and client library: 1 to 54; security: 84 to 96."""
    rows = [int(number) for number in re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)]

    assert sorted(rows) == sorted(ROWS)
