"""Damaged notes: what is missing is reported. Twelve formats, seeded damage of six kinds."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import numpy as np
import pytest

from sttd.consumer.audio.decoder import DecodedAudio
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from sttd.consumer.pcm import floats
from tools.audio import damage

SILENT_ABOUT_LENGTH: Final = {"amr", "adts-aac"}
"""Frames after frames, with no count anywhere: a cut between two of them leaves a perfect, shorter file."""
ALTERED: Final = 0.05
WINDOW: Final = 1600
MOST, LEAST = 0.5, 0.01
"""Seconds: more than the one is a loss that must be reported; less than the other is none."""


async def outcome(pool: DecoderPool, good: DecodedAudio, audio: bytes) -> str:
    """In a word what became of a damaged file."""
    try:
        decoded = await pool.decode(audio)
    except AudioRejected as refusal:
        return str(refusal.code)
    decoded.release()
    lost, altered = sound_seconds(good) - sound_seconds(decoded), altered_seconds(good, decoded)
    if decoded.info.truncated or decoded.info.bad_packets:
        return "said so" if lost > LEAST or altered else "said so, but all of it is there"
    if lost > MOST:
        return "missing, not known" if decoded.info.declared_duration is None else "missing, not said"
    return "whole, but a second and more sounds otherwise" if altered > 1.0 else "whole"


def sound_seconds(decoded: DecodedAudio) -> float:
    """How much sound came out, without the silence that stands for what did not."""
    return decoded.info.duration - decoded.info.gaps


def altered_seconds(good: DecodedAudio, decoded: DecodedAudio) -> float:
    """How much of the sound is not what it was, in steps of a tenth of a second."""
    shared = min(good.pcm.size, decoded.pcm.size) // WINDOW * WINDOW
    loudest = np.abs(floats(good.pcm[:shared]) - floats(decoded.pcm[:shared])).reshape(-1, WINDOW).max(axis=1)
    return float((loudest > ALTERED).sum()) * WINDOW / 16_000


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", damage.NAMES)
async def test_no_damaged_note_passes_for_a_whole_one(
    pool: DecoderPool, amount: Callable[[str], int], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """More than half a second missing is reported, or the reply shows that the file itself has no length."""
    whole = damage.file(name)
    good = await pool.decode(whole)
    assert not good.info.truncated

    results = Counter([await outcome(pool, good, damage.damaged(whole, seed)[1]) for seed in range(amount("DAMAGE"))])

    with capsys.disabled():
        print(f"\n{name}: {dict(results.most_common())}", end="")  # noqa: T201 -- the published counts
    assert results["missing, not said"] == 0
    assert name in SILENT_ABOUT_LENGTH or results["missing, not known"] == 0


async def test_the_damage_of_a_seed_is_always_the_same() -> None:
    """A seed that once failed can be looked at again."""
    audio = bytes(range(256)) * 40
    assert [damage.damaged(audio, seed) for seed in range(60)] == [damage.damaged(audio, seed) for seed in range(60)]
