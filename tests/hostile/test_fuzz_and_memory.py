"""Thousands of files in a row: no failure of the parent, every death answered, memory flat. The short forms of two long runs."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable
from dataclasses import asdict

import pytest

from sttd.consumer import memory
from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from tests.hostile import soak
from tests.hostile.fuzz import Fuzz
from tests.support import audio as files

MOST_GROWTH = 8_192
"""KiB over a run. Memory grows in a few steps of 1 to 3 MiB, as allocators take it; a 3 s note's sound alone, leaked, would be 15 MiB over
the short form. The long form finds a leak of 4 KiB a note."""


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


@pytest.mark.timeout(300)
async def test_eight_long_files_stay_within_the_bound_of_one() -> None:
    """Each a third of the longest that is taken, all at once: three fit, the others wait, and so says the kernel."""
    limits = DecodeLimits(max_audio_seconds=2_100)
    audio = files.wav(bytes(700 * 4_000), rate=4_000, bits=8)
    pool = DecoderPool(2, limits)
    await pool.start()
    gc.collect()
    before, held, most_held, highest = memory.resident_bytes(), 0.0, 0.0, 0

    async def one() -> None:
        nonlocal held, most_held, highest
        with await pool.decode(audio) as decoded:
            held += decoded.info.duration
            most_held = max(most_held, held)
            await asyncio.sleep(0.2)  # what transcribing would take
            highest = max(highest, memory.resident_bytes())
            held -= decoded.info.duration

    try:
        await asyncio.gather(*(one() for _ in range(8)))
    finally:
        await pool.close()
    assert 700 <= most_held <= limits.max_audio_seconds
    assert highest - before < limits.max_audio_seconds * memory.SOUND_BYTES


@pytest.mark.timeout(3600)
async def test_memory_of_parent_and_child_is_flat(
    amount: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Good notes in a row, then damaged ones, through one child that is never replaced."""
    results = await soak.run(amount("NOTES"))
    with capsys.disabled():
        print(f"\n{results}", end="")  # noqa: T201 -- the published slopes
    for processes in results.values():
        for growth in processes.values():
            assert growth.last - growth.first < MOST_GROWTH
