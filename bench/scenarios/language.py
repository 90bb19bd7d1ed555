"""`language: auto` against a fixed language, note by note in turns, on one daemon."""

from typing import Any, Final

from bench import figures, notes
from bench.notes import Note
from bench.process import core_seconds
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench, Running, on_stage
from bench.table import OURS, PEERS

MOST: Final = 1.15
BLOCK: Final = 5
"""Notes between two readings of the core time, which the kernel counts in hundredths of a second."""


async def measure(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """Blocks of notes by turns; wall clock and core time of each block."""
    made = notes.notes("short")
    wall, core = list[float](), list[float]()
    async with on_stage(PEERS[OURS], bench, made[0]) as running:
        await _block(running, made, "auto")
        for number in range((knobs.count or 100) // BLOCK):
            block = notes.in_turn(made, BLOCK, start=number * BLOCK)
            fixed, auto = await _block(running, block, ""), await _block(running, block, "auto")
            wall.append(auto[0] / fixed[0])
            core.append(auto[1] / fixed[1])
    return {
        "verdict": {
            "auto / fixed, wall clock": promise(figures.spread(wall)["median"], "at most", MOST),
            "auto / fixed, core time": promise(figures.spread(core)["median"], "at most", MOST),
        },
        "blocks_of_notes": f"{len(wall)} of {BLOCK}",
        "wall_clock": figures.shown(figures.spread(wall)),
        "core_time": figures.shown(figures.spread(core)),
    }


async def _block(running: Running, block: list[Note], language: str) -> tuple[float, float]:
    """Seconds of the answers together, and core seconds. No `language`: each note its own."""
    before = core_seconds(running.process.pid)
    took = sum([(await running.client.ask(note, language=language or note.language)).seconds for note in block])
    return took, core_seconds(running.process.pid) - before
