"""`python -m tests.hostile.soak --notes 2000`: good notes in a row, then damaged ones: memory stays flat.

Samples the resident memory of the parent and of its one child, which is never replaced here, and fits a line to each.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from sttd.samples import samples
from tests.hostile import damage

LIMITS: Final = DecodeLimits(files_per_child=10**9, decode_seconds=30)
EVERY: Final = 20
WARM_UP: Final = 160
"""Notes of a kind that are heard before the first look: each format's first files load codecs and fill allocators."""


@dataclass(frozen=True)
class Growth:
    """One process over one run. `slope`: KiB resident for a thousand notes; `first`, `last`: KiB after warming up and at the end."""

    slope: float
    last: int
    first: int


def resident(pid: int | str) -> int:
    """KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def good_notes() -> list[bytes]:
    """The bundled notes that decode, and one file of each of the twelve formats."""
    notes = [sample.path.read_bytes() for sample in samples() if sample.expect in {"text", "no_speech"}]
    return [*notes, *(damage.file(name, 3.0) for name in damage.NAMES)]


async def run(notes: int) -> dict[str, dict[str, Growth]]:
    """Both runs; by kind of note, then by process."""
    good, lost = good_notes(), list[str]()
    pool = DecoderPool(1, LIMITS, lost.append)
    await pool.start()
    try:
        results = {
            "good": await _measured(pool, notes, lambda at: good[at % len(good)]),
            "damaged": await _measured(pool, notes, lambda at: damage.damaged(good[at % len(good)], at)[1]),
        }
    finally:
        await pool.close()
    assert lost == [], f"children were lost: {lost}"
    return results


async def _measured(pool: DecoderPool, notes: int, note: Callable[[int], bytes]) -> dict[str, Growth]:
    seen: list[tuple[int, int, int]] = []
    for at in range(-WARM_UP, notes):
        with contextlib.suppress(AudioRejected), await pool.decode(note(at)):
            pass
        if at >= 0 and at % EVERY == EVERY - 1:
            gc.collect()
            (child,) = pool._idle
            seen.append((at, resident("self"), resident(child.pid)))
    table = np.array(seen)
    return {name: _fit(table[:, 0], table[:, column]) for column, name in ((1, "parent"), (2, "child"))}


def _fit(at: np.ndarray, kib: np.ndarray) -> Growth:
    slope, _ = np.polyfit(at, kib, 1)
    return Growth(round(float(slope) * 1000, 1), int(kib[-1]), int(kib[0]))


def main() -> None:
    """Run from the command line; prints the table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notes", type=int, default=2000)
    results = asyncio.run(run(parser.parse_args().notes))
    table = {kind: {name: vars(growth) for name, growth in processes.items()} for kind, processes in results.items()}
    sys.stdout.write(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
