"""Many files in a row: no failure of the parent, every death answered, nothing kept. The short form of a long run.

What the processes have in memory after thousands of notes: `python -m bench scenario soak`.
"""

import asyncio
import contextlib
import gc
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from tests.hostile.fuzz import Fuzz
from tools.audio import damage, files

IN_A_ROW = 80
KEPT_BYTES = 1024 * 1024
"""Allocated and not freed after so many notes: a fifth of a note's sound for each of them would be more."""


@pytest.mark.timeout(7200)
async def test_mutated_files_never_harm_the_parent(
    amount: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each ends in sound or in a code; a file that costs two children is `audio_unreadable`."""
    tally = await Fuzz(None).run(amount("FUZZ"))
    with capsys.disabled():
        print(f"\n{json.dumps(asdict(tally))}", end="")  # noqa: T201 -- the published counts
    assert tally.parent_failures == []
    assert tally.wrong_codes == []
    assert tally.decoded + sum(tally.refused.values()) == tally.next_seed


async def test_eight_long_files_stay_within_the_bound_of_one() -> None:
    """Each a third of the longest that is taken, all at once: three fit, the others wait."""
    limits = DecodeLimits(max_audio_seconds=2_100)
    audio = files.wav(bytes(700 * 4_000), rate=4_000, bits=8)
    pool = DecoderPool(2, limits)
    await pool.start()
    held = most_held = 0.0

    async def one() -> None:
        nonlocal held, most_held
        with await pool.decode(audio) as decoded:
            held += decoded.info.duration
            most_held = max(most_held, held)
            await asyncio.sleep(0.2)  # what transcribing would take: time for those that wait to come in too early
            held -= decoded.info.duration

    try:
        await asyncio.gather(*(one() for _ in range(8)))
    finally:
        await pool.close()
    assert 700 <= most_held <= limits.max_audio_seconds


async def test_parent_and_child_keep_nothing_of_a_note() -> None:
    """Good and damaged notes in turn through one child: no descriptor and no memory of the parent's is left."""
    lost = list[str]()
    good = damage.good()
    pool = DecoderPool(1, DecodeLimits(files_per_child=10**9), lost.append)
    await pool.start()
    (child,) = pool._idle

    async def hear(first: int, count: int) -> None:
        for at in range(first, first + count):
            note = good[at % len(good)]
            with contextlib.suppress(AudioRejected), await pool.decode(damage.damaged(note, at)[1] if at % 2 else note):
                pass

    def held() -> tuple[int, int]:
        gc.collect()
        return len(list(Path(f"/proc/{child.pid}/fd").iterdir())), tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        await hear(0, 2 * len(good))  # what is kept once: tables, caches
        descriptors, before = held()
        await hear(2 * len(good), IN_A_ROW)
        after = held()
    finally:
        tracemalloc.stop()
        await pool.close()
    assert lost == []
    assert after[0] == descriptors
    assert after[1] - before < KEPT_BYTES
