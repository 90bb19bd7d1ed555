"""Both lanes full: interactive notes keep their p95, and bulk still moves."""

import asyncio
from typing import Any, Final

from bench import figures, notes
from bench.load import Load
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench, on_stage
from bench.table import OURS, PEERS

INTERACTIVE: Final = 4
BULK: Final = 8
KEPT: Final = 1.25
"""How many times the p95 without bulk is still kept: every tenth start is bulk's, and a slot can be with bulk when a
note comes."""


async def measure(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """Interactive clients alone, then with bulk clients beside them; by turns."""
    made, seconds = notes.notes("short"), knobs.seconds or 30
    alone, beside, moved = list[float](), list[float](), list[float]()
    for _ in range(knobs.rounds or 5):
        async with on_stage(PEERS[OURS], bench, made[0]) as running:
            load = Load(running.client, running.process.pid, bench.broker_pid)
            alone.append((await load.closed(made, INTERACTIVE, seconds)).summary()["latency"]["p95"])
            both = await asyncio.gather(
                load.closed(made, INTERACTIVE, seconds), load.closed(made, BULK, seconds, queue=f"{running.queue}.bulk")
            )
            interactive, bulk = (sample.summary() for sample in both)
            beside.append(interactive["latency"]["p95"])
            moved.append(bulk["notes"] / (both[1].ended - both[1].begun))
    ratio = figures.ratios(beside, alone)
    return {
        "verdict": {
            "interactive p95, with bulk / without": promise(ratio["median"], "at most", KEPT),
            "bulk notes a second": promise(min(moved), "at least", 0.01),
        },
        "clients": {"interactive": INTERACTIVE, "bulk": BULK},
        "interactive_p95_alone": figures.shown(figures.spread(alone)),
        "interactive_p95_with_bulk": figures.shown(figures.spread(beside)),
        "ratio": figures.shown(ratio),
        "bulk_notes_per_second": figures.shown(figures.spread(moved)),
    }
