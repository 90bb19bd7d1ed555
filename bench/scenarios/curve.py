"""Core seconds of a note by its length: stock faster-whisper, whisper.cpp, ours with and without short contexts.

One note at a time on one core and with one thread, where each of them wastes least.
"""

import math
from dataclasses import replace
from typing import Any, Final

from bench import notes
from bench.notes import Note
from bench.process import PeerFailed, core_seconds
from bench.run import tell
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench, Peer, on_stage
from bench.table import CPP, CPP_FIT, FULL, OURS, PEERS, POOL
from tools.word_errors import errors

LENGTHS: Final = (3, 6, 12, 20, 30, 60)
NOTES: Final = 6
TAKEN: Final = (POOL, CPP, CPP_FIT, FULL, OURS)


async def measure(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """Peer by peer: what is counted is processor time, so that it matters little what else runs meanwhile."""
    count = knobs.count or NOTES
    made = {seconds: notes.of_length(seconds, count) for seconds in LENGTHS}
    curve: dict[str, dict[int, list[float]]] = {}
    wrong: dict[str, list[tuple[int, int]]] = {}
    missing = []
    for name in TAKEN:
        try:
            rows, counted = await _one(PEERS[name], replace(bench, cores=1), made)
        except PeerFailed as error:
            missing.append(f"{name}: {error}")
            continue
        curve[name], wrong[name] = rows, counted
    others = [name for name in curve if name != OURS]
    times = [sum(curve[OURS][at]) / sum(curve[name][at]) for name in others for at in LENGTHS] if OURS in curve else []
    return {
        "verdict": {
            "ours / the cheapest other, at the worst length": promise(max(times, default=math.nan), "at most", 1.0)
        },
        "notes_of_each_length": count,
        "curve": curve,
        "word_errors": {name: 100 * sum(e for e, _ in one) / sum(w for _, w in one) for name, one in wrong.items()},
        "titles": {name: PEERS[name].title for name in curve},
        "missing": missing,
    }


async def _one(
    peer: Peer, bench: Bench, made: dict[int, list[Note]]
) -> tuple[dict[int, list[float]], list[tuple[int, int]]]:
    """Core seconds by length, and word errors with words of each note."""
    rows: dict[int, list[float]] = {}
    counted = []
    async with on_stage(peer, bench, made[LENGTHS[0]][0]) as running:
        for seconds, some in made.items():
            for note in some:
                before = core_seconds(running.process.pid)
                answer = await running.client.ask(note)
                rows.setdefault(seconds, []).append(core_seconds(running.process.pid) - before)
                found = errors(note.said, answer.text, note.language)
                counted.append((found.word_errors, found.words))
            tell(f"{peer.name:18} {seconds:3} s  {sum(rows[seconds]) / len(some):6.2f} core s")
    return rows, counted
