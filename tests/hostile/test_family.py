"""Files with known content: the reply has the same length, times, tracks and missing parts."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from sttd.consumer.audio.decoder import DecodedAudio
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from sttd.consumer.pcm import floats
from tests.hostile.family import Case, case
from tests.support.tracks import sounding

OFF: Final = 0.15
"""Seconds that a file may be longer, or a burst later, for each file in it: what encoders put before and behind without
saying so."""
MOST, LEAST = 0.5, 0.01
"""Seconds: more than the one is a loss that must be reported; less than the other is none."""


def complaints(truth: Case, decoded: DecodedAudio) -> Iterator[str]:
    """The errors in the reply."""
    info, off, found = decoded.info, OFF * truth.times, sounding(floats(decoded.pcm))
    if info.truncated:
        yield "told as truncated"
    if abs(info.duration - truth.seconds) > off or abs(info.gaps - truth.gaps) > off:
        yield f"{info.duration:.2f} s with {info.gaps:.2f} s of holes, not {truth.seconds:.2f} s with {truth.gaps:.2f}"
    if (info.track, info.tracks) != (truth.track, truth.tracks):
        yield f"track {info.track} of {info.tracks}, not {truth.track} of {truth.tracks}"
    pairs = zip(found, truth.spans, strict=False)
    if len(found) != len(truth.spans) or any(max(abs(a - c), abs(b - d)) > off for (a, b), (c, d) in pairs):
        yield f"sounds at {found}, not at {truth.spans}"


@pytest.mark.timeout(7200)
async def test_whole_files_say_what_was_put_into_them(pool: DecoderPool, amount: Callable[[str], int]) -> None:
    """Duration, holes, times, track; none of them is reported as truncated, or refused."""
    wrong: list[str] = []
    for seed in range(amount("FAMILY")):
        truth = case(seed)
        try:
            with await pool.decode(truth.audio) as decoded:
                wrong += [f"{seed}: {truth.name}: {complaint}" for complaint in complaints(truth, decoded)]
        except AudioRejected as refusal:
            wrong.append(f"{seed}: {truth.name}: {refusal.code}")
    assert wrong == []


def cut(audio: bytes, rng: random.Random) -> bytes:
    """A file without its end: anywhere, in its last quarter, or in what its writer put behind the sound."""
    size = len(audio)
    return audio[
        : rng.choice(
            (rng.randrange(60, size), rng.randrange(size * 3 // 4, size), size - rng.randrange(1, min(size // 3, 3000)))
        )
    ]


async def outcome(pool: DecoderPool, truth: Case, audio: bytes, whole: float) -> str:
    """In a word what became of a file without its end; `whole`: seconds of sound that came out of all of it."""
    try:
        with await pool.decode(audio) as decoded:
            info = decoded.info
    except AudioRejected:
        return "refused"
    lost = whole - (info.duration - info.gaps)
    if info.truncated:
        return "told" if lost > LEAST else "told, but nothing is missing"
    if lost <= MOST:
        return "plain, and less than half a second is missing"
    return "missing, not told" if truth.tells_length or info.declared_duration is not None else "missing, not known"


@pytest.mark.timeout(7200)
async def test_files_without_their_end_are_told_where_anything_tells_it(
    pool: DecoderPool, amount: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """More than half a second missing is never a plain success where a length is known.

    What lacks nothing is plain.
    """
    results = Counter[str]()
    wrong: list[str] = []
    for seed in range(amount("FAMILY")):
        truth = case(seed)
        if truth.times > 1 or truth.tracks > 1 or "first flush" in truth.name:
            # a cut may leave a whole first file, another track with sound, or exactly what the header announced at
            # first
            continue
        with await pool.decode(truth.audio) as decoded:
            whole = decoded.info.duration - decoded.info.gaps
        became = await outcome(pool, truth, cut(truth.audio, random.Random(seed)), whole)
        results[became] += 1
        if became in {"missing, not told", "told, but nothing is missing"}:
            wrong.append(f"{seed}: {truth.name}: {became}")
    with capsys.disabled():
        print(f"\n{dict(results.most_common())}", end="")  # noqa: T201 -- the published counts
    assert wrong == []
