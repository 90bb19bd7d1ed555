"""One caller sends a thousand notes at once, another one every two seconds: what the other waits, and what it costs."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from bench import figures, notes
from bench.load import Load, Sample
from bench.notes import Note
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench, on_stage
from bench.table import TRACED
from bench.traces import Trace

FLOOD: Final = 1000
EVERY: Final = 2.0
CALLS: Final = 2
"""Of the longest, that a rare note may wait for: one before it is encoded, one before it is decoded."""

THROUGHPUT: Final = 0.95


async def measure(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """The rare caller alone; then beside the flood, with keys and without, in turns."""
    made, count = notes.notes("short"), knobs.count or FLOOD
    alone, beside, behind, cost = list[float](), list[float](), list[float](), list[float]()
    longest, failures = 0.0, list[str]()
    for number in range(knobs.rounds or 3):
        async with on_stage(TRACED, bench, made[0]) as running:
            load = Load(running.client, running.process.pid, bench.broker_pid)
            idle = await load.paced(made, EVERY, _lasting(knobs.seconds or 60), caller="rare")
            speed = {}
            for keys in (True, False) if number % 2 else (False, True):
                rare, speed[keys] = await _flooded(load, made, count, keys=keys)
                (beside if keys else behind).append(_p95(rare))
                failures += rare.failures
            trace = Trace.read(running.trace)
            longest = max(longest, *(call.seconds for call in trace.calls))
        alone.append(_p95(idle))
        cost.append(speed[True] / speed[False])
    wanted = figures.spread(alone)["median"] + CALLS * longest
    return {
        "verdict": {
            "p95 of the rare notes, s": promise(figures.spread(beside)["median"], "at most", wanted, "s"),
            "throughput, with keys / without": promise(figures.spread(cost)["median"], "at least", THROUGHPUT),
            "failed notes": promise(len(failures), "at most", 0),
        },
        "flood": count,
        "rare_p95_alone": figures.shown(figures.spread(alone)),
        "rare_p95_with_keys": figures.shown(figures.spread(beside)),
        "rare_p95_without_keys": figures.shown(figures.spread(behind), 1),
        "throughput_ratio": figures.shown(figures.spread(cost)),
        "longest_call_seconds": longest,
    }


async def _flooded(load: Load, made: Sequence[Note], count: int, *, keys: bool) -> tuple[Sample, float]:
    """The rare caller's sample, and how many notes a second were answered in all."""
    many, few = ({"caller": "flood"}, {"caller": "rare"}) if keys else ({}, {})
    flood = asyncio.create_task(load.burst(made, count, **many))
    rare = await load.paced(made, EVERY, lambda: not flood.done(), **few)
    whole = await flood
    rare.failures += whole.failures
    answered = len(whole.answers) + len(rare.answers)
    return rare, answered / (max(whole.ended, rare.ended) - whole.begun)


def _lasting(seconds: float) -> Callable[[], bool]:
    """Whether so much time has not passed yet."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until


def _p95(sample: Sample) -> float:
    return figures.latencies([answer.seconds for _, answer in sample.answers])["p95"]
