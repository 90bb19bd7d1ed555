"""Small files that would become large get their code before that.

What each costs in processor time and memory: `python -m bench scenario bombs`.
"""

import tracemalloc
from collections.abc import AsyncIterator
from typing import Final

import pytest

from sttd.consumer.audio.limits import MIB, DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from tools.audio.bombs import BOMBS

PARENT_MIB: Final = 16
"""What the parent may allocate for a file that is refused, beside its body and what sound it got before the refusal."""

SOUND_BYTES: Final = 2 * 16_000
"""A second of sound as the child sends it. The printed bound has twice as much for each second of the longest file."""


@pytest.fixture
def losses() -> list[str]:
    """Why children were replaced."""
    return []


@pytest.fixture
async def watched(losses: list[str]) -> AsyncIterator[DecoderPool]:
    """One child, and every byte counted that this process allocates."""
    pool = DecoderPool(1, DecodeLimits(), losses.append)
    await pool.start()
    tracemalloc.start()
    yield pool
    tracemalloc.stop()
    await pool.close()


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_refused_with_its_code_before_it_goes_off(
    watched: DecoderPool, losses: list[str], name: str
) -> None:
    """By a check or by a limit, never by the time limit.

    The parent never holds more sound than the longest file has.
    """
    make, code = BOMBS[name]
    audio = make()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()

    with pytest.raises(AudioRejected) as caught:
        await watched.decode(audio)

    _, most = tracemalloc.get_traced_memory()
    sound = int(DecodeLimits().max_audio_seconds * SOUND_BYTES)
    assert caught.value.code == code
    assert "timed_out" not in losses
    assert most - before < len(audio) + sound + PARENT_MIB * MIB


def test_there_are_at_least_thirty_kinds() -> None:
    """The number that the documents name."""
    assert len(BOMBS) >= 30
