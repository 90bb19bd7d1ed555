"""`sttd size` as a person calls it: plans, JSON, refusals with the next step. No engine here."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sttd.commands.main import build
from sttd.sizing.profile import built_in
from sttd.sizing.search import Machine, Search
from sttd.sizing.traffic import Day, Lengths


def run(*arguments: str) -> Result:
    """`sttd size ...`."""
    return CliRunner().invoke(build(), ["size", *arguments])


def plan(*arguments: str) -> dict[str, Any]:
    """The output of `--json`."""
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_more_notes_or_less_time_need_more_cores() -> None:
    """The plan keeps its target, and neighbours are in order."""
    found = plan("-n", "100000", "--p95", "8")
    assert found["plan"]["p95"] <= 8
    cores = {(row["notes"], row["p95_target"]): row["cores"] for row in found["table"]}
    assert cores[50_000, 8] < cores[100_000, 8] < cores[200_000, 8]
    assert cores[100_000, 4] >= cores[100_000, 8] >= cores[100_000, 16]
    assert found["profile"]["name"] == built_in().name


def test_one_fewer_consumer_would_be_too_few() -> None:
    """What is found is the smallest fleet: a target just below what it reaches needs a larger one."""
    search = Search(Machine(built_in(), 2), Day(100_000, 0.09, Lengths.with_mean(12)))
    found = search.plan(100_000, 8)
    assert search.plan(100_000, found.p95 - 0.01).consumers > found.consumers


def test_people_read_a_table_and_what_was_assumed() -> None:
    """The answer first, then the neighbours, the assumptions, the profile's name."""
    shown = " ".join(run("-n", "5000", "--p95", "10", "--autoscale").stdout.split())
    assert shown.startswith("5,000 notes a day, 19 of 20 answered within 10 s in the busiest hour:")
    assert "Profile: base" in shown
    assert "consumer-hours instead of" in shown


def test_a_flood_is_simulated_with_and_without_keys() -> None:
    """What naming callers is worth, before anything is changed."""
    found = plan("-n", "50000", "--flood", "1000")
    assert found["flood"]["p95_with_callers"] < 2 * found["plan"]["p95"] < found["flood"]["p95_without"]
    assert "While one caller sends 1,000 notes at once" in " ".join(
        run("-n", "50000", "--flood", "1000").stdout.split()
    )


def test_targets_that_the_same_fleet_reaches_share_a_row() -> None:
    """Three equal rows for each volume say less than one that names the range of targets."""
    shown = run("-n", "10000", "--p95", "10").stdout
    rows = [re.split(r" *│ *", line) for line in shown.splitlines() if line.startswith("│")]
    fleets = [(notes, consumers) for _, notes, _, consumers, *_ in rows]
    assert len(fleets) == len(set(fleets))
    assert {notes for notes, _ in fleets} == {"5,000", "10,000", "20,000"}
    assert any(" to " in target for _, _, target, *_ in rows)


def test_a_profile_of_another_machine_is_used(tmp_path: Path) -> None:
    """A quarter of the cost, and the plan shows it."""
    here = built_in()
    rows = tuple(row.model_copy(update={"engine": row.engine / 4, "decode": row.decode / 4}) for row in here.rows)
    here.model_copy(update={"name": "fast", "rows": rows}).save(tmp_path / "fast.json")
    fast = plan("--profile", str(tmp_path / "fast.json"), "-n", "100000")
    assert fast["profile"]["name"] == "fast"
    assert fast["core_seconds"] == pytest.approx(plan("-n", "100000")["core_seconds"] / 4, rel=0.01)


def test_a_consumer_has_the_cores_of_the_daemon_that_was_measured(tmp_path: Path) -> None:
    """Its slots are what `sttd serve` would use there; two is only a guess about a machine that nobody measured."""
    built_in().model_copy(update={"slots": 8}).save(tmp_path / "eight.json")
    assert plan("--profile", str(tmp_path / "eight.json"))["cores_per_consumer"] == 8
    assert plan()["cores_per_consumer"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--p95", "0.1"], 1, "take a smaller model"),
        (["--peak-share", "0.01"], 2, "peak hour"),
        (["--seconds", "100"], 2, "between 3 and 60"),
        (["--save", "x.json"], 2, "add --measure"),
        (["--measure", "--profile", "x.json"], 2, "choose one"),
        (["--profile", "missing.json"], 2, "sttd size --measure --save"),
    ],
)
def test_what_cannot_be_is_told_with_the_next_step(arguments: list[str], code: int, told: str) -> None:
    """Exit code and one line on stderr, nothing on stdout."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in " ".join(result.stderr.split())


def test_the_help_shows_the_three_ways_to_a_profile() -> None:
    """Built in, measured, from a file."""
    shown = run("--help").stdout
    assert all(word in shown for word in ("--measure", "--profile", "--notes-per-day", "built-in"))
