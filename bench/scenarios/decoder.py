"""The decoder's children over hostile files and over time: processor time and memory, which no test asserts.

That each file gets its code is what tests/hostile asserts; its files come from there.
"""

import contextlib
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import process
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench
from sttd.consumer.audio.limits import MIB, DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from tools.audio import damage
from tools.audio.bombs import BOMBS

BOMB_SECONDS: Final = 2.0
PARENT_MIB: Final = 16.0
"""What the parent may take for a file that is refused, beside its body and what sound it got before the refusal."""

SOUND_MIB: Final = DecodeLimits().max_audio_seconds * 2 * 16_000 / MIB
NOTES: Final = 2000
EVERY: Final = 20
WARM_UP: Final = 160
"""Notes of a kind before the first look: the first files of each format load codecs and fill allocators."""

GROWTH_MIB: Final = 8.0
"""Memory grows in a few steps of 1 to 3 MiB, as allocators take it; with 2,000 notes this finds a leak of 4 KiB a
note."""


async def bombs(_bench: Bench, _knobs: Knobs) -> dict[str, Any]:
    """Each bomb through a child of its own: the child's core time and peak, the parent's memory beside the sound."""
    found = {name: await _bomb(make()) for name, (make, _) in BOMBS.items()}
    return {
        "verdict": {
            "processor time, slowest bomb, s": promise(
                max(one["seconds"] for one in found.values()), "at most", BOMB_SECONDS, "s"
            ),
            "parent beyond body and sound, MiB": promise(
                max(one["parent_mib"] for one in found.values()), "at most", PARENT_MIB + SOUND_MIB, "MiB"
            ),
        },
        "bombs": found,
    }


async def _bomb(audio: bytes) -> dict[str, float]:
    pool = DecoderPool(1, DecodeLimits())
    await pool.start()
    try:
        (child,) = pool._idle  # noqa: SLF001 - the one child that is looked at
        before = process.core_seconds(child.pid)
        parent = _parent_mib("VmHWM", anew=True)
        with contextlib.suppress(AudioRejected), await pool.decode(audio):
            pass
        peaks = process.peaks_mib(child.pid)
        return {
            "seconds": process.core_seconds(child.pid) - before if peaks else float("nan"),
            "child_mib": max(peaks, default=float("nan")),
            "parent_mib": _parent_mib("VmHWM") - parent - len(audio) / MIB,
        }
    finally:
        await pool.close()


async def soak(_bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """Good notes in a row, then damaged ones, through one child that is never replaced.

    KiB for a thousand notes, fitted.
    """
    good, count = damage.good(), knobs.count or NOTES
    pool = DecoderPool(1, DecodeLimits(files_per_child=10**9))
    await pool.start()
    try:
        kinds = {
            "good": await _looked_at(pool, count, lambda at: good[at % len(good)]),
            "damaged": await _looked_at(pool, count, lambda at: damage.damaged(good[at % len(good)], at)[1]),
        }
    finally:
        await pool.close()
    growth = {
        f"{who}, {kind} notes, MiB": one["grown_mib"] for kind, both in kinds.items() for who, one in both.items()
    }
    return {
        "verdict": {name: promise(grown, "at most", GROWTH_MIB, "MiB") for name, grown in growth.items()},
        "notes": count,
    } | kinds


async def _looked_at(pool: DecoderPool, count: int, note: Callable[[int], bytes]) -> dict[str, dict[str, float]]:
    seen: list[tuple[float, float, float]] = []
    for at in range(-WARM_UP, count):
        with contextlib.suppress(AudioRejected), await pool.decode(note(at)):
            pass
        if at >= 0 and at % EVERY == EVERY - 1:
            gc.collect()
            (child,) = pool._idle  # noqa: SLF001 - the one child that is looked at
            seen.append((at, _parent_mib("VmRSS"), process.resident_mib(child.pid)))
    table = np.array(seen)
    return {who: _fitted(table[:, 0], table[:, column]) for column, who in ((1, "parent"), (2, "child"))}


def _fitted(at: np.ndarray, mib: np.ndarray) -> dict[str, float]:
    slope, _ = np.polyfit(at, mib, 1)
    return {
        "kib_for_a_thousand_notes": float(slope) * 1000 * 1024,
        "grown_mib": float(mib[-1] - mib[0]),
        "last_mib": float(mib[-1]),
    }


def _parent_mib(what: str, *, anew: bool = False) -> float:
    if anew:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest mark begins again (proc(5))
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.split(f"{what}:")[1].split()[0]) / 1024
