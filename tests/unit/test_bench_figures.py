"""The benchmark's arithmetic: percentiles, spreads, rates, model-call times, pages.

An error there would be in every table.
"""

import asyncio
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import figures, process, report, run
from bench.clients import Answer
from bench.load import Load, Sample
from bench.notes import Note
from bench.process import PeerFailed
from bench.scenarios import long_file
from bench.scenarios.knobs import promise
from bench.traces import Call, Trace, busy_seconds

SAID = "раз два три"
HEAD = {
    "date": "2026-11-26",
    "model": "base",
    "machine": {
        "cores_used": 2,
        "cores_there": 2,
        "cpu": "C",
        "flags": ["avx2"],
        "caps": [],
        "memory_gib": 1,
        "system": "L",
        "python": "3",
        "load": [1],
        "packages": {},
    },
}


def note(seconds: float = 3.0) -> Note:
    """A note without sound."""
    return Note("n", "ru", SAID, seconds, b"x")


def sample(*ends: float, until: float = 0.0, clients: int = 0) -> Sample:
    """Answers that came at these times; asking began at 0."""
    found = Sample(0.0, clients, until, max(ends))
    found.answers = [(note(), Answer(SAID, 0.0, end)) for end in ends]
    return found


def test_percentiles_are_values_that_were_measured() -> None:
    """Nearest rank: no interpolation between two latencies that never happened."""
    assert figures.percentile([4, 1, 3, 2], 50) == 2
    assert figures.percentile(range(1, 101), 95) == 95
    assert figures.percentile([7], 99.9) == 7
    assert math.isnan(figures.percentile([], 50))


def test_a_spread_names_the_median_and_both_ends() -> None:
    """One lucky round cannot pass for the result."""
    assert figures.shown(figures.spread([1.0, 3.0, 2.0])) == "2.00 (1.00-3.00)"
    assert figures.shown(figures.spread([2.0])) == "2.00"
    assert figures.shown(figures.spread([])) == "-"
    assert figures.ratios([2, 6], [1, 2]) == {"median": 2.5, "low": 2, "high": 3, "rounds": 2}


def test_a_closed_loop_counts_only_while_all_clients_ask() -> None:
    """Neither the wait for the first answer nor the drain at the end is speed."""
    assert sample(2, 3, 4, 5, 9, until=6, clients=2).notes_per_second() == pytest.approx(3 / 4)
    assert sample(0.5, 1, 2, 3, 4, until=5, clients=2).notes_per_second() == pytest.approx(3 / 4)
    assert sample(2, 4).notes_per_second() == pytest.approx(2 / 4)


def test_a_peer_too_slow_for_that_is_counted_over_the_whole_time() -> None:
    """No answer after the first within the time is not a speed of nothing."""
    assert sample(4, 7, 8, 9, until=6, clients=4).notes_per_second() == pytest.approx(4 / 9)


def test_word_errors_of_each_answer_stand_beside_its_speed() -> None:
    """A peer that is fast because its text is wrong is not fast."""
    found = Sample(0.0, ended=2.0)
    found.answers = [(note(), Answer("раз пять", 0.0, 2.0))]
    assert found.summary()["errors"] == {"n": [2, 3]}


def test_the_stages_that_a_peer_tells_of_leave_a_rest() -> None:
    """What the queue and the way cost is visible without clocks on both ends."""
    found = Sample(0.0, ended=2.0)
    found.answers = [(note(), Answer(SAID, 0.0, 2.0, {"decode": 0.5, "transcribe": 1.0}))]
    stages = found.summary()["stages"]
    assert stages["rest"]["p50"] == pytest.approx(0.5)
    assert "queued" not in stages


def test_model_calls_at_the_same_time_count_once() -> None:
    """Overhead is what remains of the latency after the model; two slots at work are not twice the time."""
    calls = [Call("encode", 0.0, 2.0, 1), Call("generate", 1.0, 2.0, 2), Call("align", 5.0, 1.0, 1)]
    assert busy_seconds(calls) == pytest.approx(4.0)
    assert busy_seconds([]) == 0


def test_a_trace_is_read_up_to_the_line_that_is_being_written(tmp_path: Path) -> None:
    """The harness reads along while the daemon writes."""
    path = tmp_path / "trace"
    path.write_text('{"call": "encode", "at": 1, "seconds": 2, "thread": 7}\n{"lag": 0.5, "at": 2}\n{"call": "gen')
    trace = Trace.read(path)
    assert [call.name for call in trace.between(0, 3)] == ["encode"]
    assert trace.between(0, 2) == []
    assert trace.lag(50, 0, 3) == 0.5


def test_loads_that_cannot_be_run_are_refused_before_the_run() -> None:
    """A typing mistake costs a second, not an hour."""
    assert run.loads("closed:8,poisson:75,burst:20") == ("closed:8", "poisson:75", "burst:20")
    for wrong in ("closed", "closed:0", "waves:3", "poisson:50"):
        with pytest.raises(ValueError, match=r"no such load|has to come before"):
            run.loads(wrong)


async def test_failures_of_a_peer_are_counted_and_not_hidden() -> None:
    """A peer that answers with errors is not a fast peer."""

    class Refusing:
        async def open(self) -> None: ...
        async def close(self) -> None: ...
        async def ask(self, note: Note, **options: Any) -> Answer:
            raise PeerFailed("no")

    found = (await Load(Refusing(), os.getpid(), None).burst([note()], 3)).summary()
    assert (found["notes"], len(found["failures"])) == (0, 3)


def test_core_time_and_memory_cover_the_whole_tree_of_processes() -> None:
    """Decoder children are part of what a peer costs.

    With a child the tree has used and holds more than the child alone.
    """
    busy = "x = bytes(10**7)\nfor _ in range(10**6): pass\nprint(flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        root, child = process.tree(parent.pid)
        assert root == parent.pid
        assert process.core_seconds(root) >= process.core_seconds(child) > 0
        both, one = process.resident_mib(root), process.resident_mib(child)
        assert both > one > 0
        assert len(process.peaks_mib(root)) == 2
        parent.communicate(b"\n")


async def test_a_peer_that_ends_says_why(tmp_path: Path) -> None:
    """The table has a reason in the place of figures."""
    ended = process.Process(
        [sys.executable, "-c", "raise SystemExit('no such model')"], dict(os.environ), tmp_path / "log"
    )
    await asyncio.to_thread(ended._popen.wait, 10)
    with pytest.raises(PeerFailed, match="no such model"):
        ended.check()


def test_a_page_has_every_peer_with_figures_or_with_a_reason() -> None:
    """A peer that could not run or was left out is never silently missing."""
    found = HEAD | {
        "plan": {"rounds": 1, "seconds": 1, "loads": ["closed:8"], "notes": "short", "beam": 5},
        "titles": {"ours": "Ours", "old-service": "Old", "gone": "Gone", "slow": "Slow"},
        "samples": {
            "ours": {"closed:8": [sample(1, 2).summary()]},
            "old-service": {"closed:8": [sample(2, 4).summary()]},
        },
        "starts": {},
        "missing": {"gone": "its environment is not installed"},
        "left_out": {"slow": {"closed:8": "left out: at 0.10 notes/s"}},
    }
    page = report.pages("headline", [figures.rounded(found)])["results"]
    assert "C (avx2)" in page
    assert "| Ours | 1.00 |" in page
    assert "| Gone | its environment is not installed |" in page
    assert "| Slow | left out: at 0.10 notes/s |" in page
    assert "| ours / old-service | 2.00 |" in page
    assert "| ours / old-service, closed:8 | at least 4 times | 2.00 | **no** |" in page


def test_word_errors_on_a_page_are_of_the_notes_that_all_peers_have_answered() -> None:
    """Else the faster peer has other notes, and the rates are of different things."""
    easy, hard = Answer(SAID, 0.0, 1.0), Answer("раз", 0.0, 2.0)
    both, one = Sample(0.0, ended=2.0), Sample(0.0, ended=2.0)
    both.answers = [(note(), easy), (Note("other", "ru", SAID, 3.0, b"x"), hard)]
    one.answers = [(note(), hard)]
    found = HEAD | {
        "plan": {"rounds": 1, "seconds": 1, "loads": ["closed:1"], "notes": "short", "beam": 5},
        "titles": {"ours": "Ours", "pool": "Pool"},
        "samples": {"ours": {"closed:1": [both.summary()]}, "pool": {"closed:1": [one.summary()]}},
        "starts": {},
        "missing": {},
        "left_out": {},
    }
    page = report.pages("headline", [figures.rounded(found)])["results"]
    assert "of the 1 notes, 3 words" in page
    rows = {line.split(" | ")[0]: line.split(" | ")[5] for line in page.splitlines() if line.count(" | ") == 7}
    assert (rows["| Ours"], rows["| Pool"]) == ("0.0", "66.7")


def test_the_scenarios_share_a_page_and_the_curve_has_one_of_its_own() -> None:
    """A run of one scenario leaves those of earlier runs on the page, each with its machine."""
    lengths = {"3": [0.5, 0.7, 0.6], "6": [1.0, 1.0, 1.0]}
    curve = HEAD | {
        "scenario": "curve",
        "verdict": {"p": promise(0.5, "at most", 1.0)},
        "notes_of_each_length": 3,
        "curve": {"ours": lengths},
        "word_errors": {"ours": 17.25},
        "titles": {"ours": "Ours"},
        "missing": ["stock: gone"],
    }
    lag = HEAD | {"scenario": "lag", "verdict": {"late": promise(2.0, "at most", 1.0, "s")}}
    pages = report.pages("scenario", [curve, lag])
    assert "| Ours | 0.60 (0.50-0.70) | 1.00 (1.00-1.00) | 17.2 |" in pages["curve"]
    assert "- stock: gone" in pages["curve"]
    assert "| late | 2.0 | at most 1 s | **no** |" in pages["scenarios"]
    assert pages["scenarios"].count("C (avx2)") == pages["scenarios"].count("the same machine") == 1
    other = HEAD | {"model": "small", "scenario": "lag", "verdict": {"late": promise(0.5, "at most", 1.0, "s")}}
    assert report.pages("scenario", [curve, other])["scenarios"].count("C (avx2)") == 2


def test_a_verdict_is_not_kept_by_what_was_not_measured() -> None:
    """NaN is no success."""
    assert promise(2.0, "at least", 1.9)["kept"]
    assert not promise(2.1, "at most", 2)["kept"]
    assert not promise(math.nan, "at most", 2)["kept"]


def test_a_window_time_is_what_follows_an_encode_in_its_own_thread(tmp_path: Path) -> None:
    """Two files side by side do not add up to one slow window."""
    path = tmp_path / "trace"
    calls = [
        ("encode", 1, 1.0),
        ("encode", 2, 2.0),
        ("generate", 1, 3.0),
        ("generate", 2, 2.0),
        ("encode", 1, 1.0),
        ("generate", 1, 3.0),
    ]
    lines = [
        {"call": name, "at": at, "seconds": seconds, "thread": thread}
        for at, (name, thread, seconds) in enumerate(calls)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    running: Any = SimpleNamespace(trace=path)
    assert long_file._window_seconds(running) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("seconds", "clients", "capacity", "out"), [(20, 8, 1.0, False), (20, 32, 0.1, True), (20, 32, 0.0, False)]
)
def test_a_load_that_takes_a_slow_peer_too_long_is_left_out(
    seconds: float, clients: int, capacity: float, out: bool
) -> None:
    """A peer at one note in ten seconds does not hold up the others; before anything is known it is tried."""
    reason = run._too_long(f"closed:{clients}", run.Plan(1, seconds), capacity)
    assert (reason is not None) is out
