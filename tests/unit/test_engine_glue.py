"""Times of a piece made of parts lie in those parts, never in the pause between two. No model, no sound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sttd.consumer.engine.glue import PADDING, Glued, Span
from sttd.consumer.pcm import SAMPLE_RATE
from sttd.schemas.reply import Segment, Word

FAR = Glued([(4 * SAMPLE_RATE, 8 * SAMPLE_RATE), (100 * SAMPLE_RATE, 103 * SAMPLE_RATE)])
"""In the piece: 0 to 4 s, and 4 to 7 s."""

SPANS = st.lists(st.tuples(st.integers(1, 90_000), st.integers(1, 200_000)), min_size=1, max_size=6)
TIMES = st.lists(st.floats(0, 80), min_size=2, max_size=12).map(sorted)


def segment(start: float, end: float, words: list[Word] | None = None) -> Segment:
    """A segment of the reply."""
    return Segment(
        id=0, start=start, end=end, text=" x", avg_logprob=-0.1, no_speech_prob=0.0, compression_ratio=1.0, words=words
    )


def word(start: float, end: float) -> Word:
    """A word of it."""
    return Word(start=start, end=end, word=" x", probability=1.0)


def spans_of(pairs: list[tuple[int, int]]) -> list[Span]:
    """Pauses and lengths -> spans."""
    spans, now = [], 0
    for pause, length in pairs:
        spans.append((now + pause, now + pause + length))
        now += pause + length
    return spans


@pytest.mark.parametrize(
    ("within_piece", "in_audio"),
    [
        ((0.4, 3.6), (4.4, 7.6)),
        ((4.4, 6.6), (100.4, 102.6)),
        ((0.4, 4.3), (4.4, 8.0)),  # holds nothing but padding of the second part
        ((3.7, 6.6), (100.0, 102.6)),  # nothing but padding of the first
        ((4.0, 6.0), (100.0, 102.0)),  # begins at the border
        ((2.0, 4.0), (6.0, 8.0)),  # ends at it
        ((3.9, 4.2), (100.0, 100.2)),  # short: where most of it lies
        ((6.0, 9.0), (102.0, 103.0)),  # ends in Whisper's own padding, behind the sound
        ((8.0, 9.0), (103.0, 103.0)),
        ((2.0, 6.0), (6.0, 102.0)),  # speech of both: only a window for each part can tell more
    ],
)
def test_a_segment_lies_where_its_speech_is(within_piece: tuple[float, float], in_audio: tuple[float, float]) -> None:
    """A timestamp a little beyond the border of a part made a segment of 99 s out of one of 4 s."""
    placed = FAR.placed(segment(*within_piece))
    assert (placed.start, placed.end) == pytest.approx(in_audio, abs=0.0011)


def test_a_word_is_spoken_in_one_part_and_a_segment_is_as_long_as_its_words() -> None:
    """Alignment gives the first word behind a pause the end of the padding before it."""
    placed = FAR.placed(segment(3.0, 6.0, [word(3.0, 3.7), word(3.7, 4.9), word(4.9, 6.0)]))
    assert [(one.start, one.end) for one in placed.words or []] == [(7.0, 7.7), (100.0, 100.9), (100.9, 102.0)]
    assert (placed.start, placed.end) == (7.0, 102.0)


@given(SPANS, TIMES, st.booleans())
def test_times_lie_in_a_part_and_stay_in_order(pairs: list[tuple[int, int]], times: list[float], timed: bool) -> None:
    """Whatever the model says: no time in a pause, none before the time before it."""
    spans = spans_of(pairs)
    glued = Glued(spans)
    parts = list(zip(times[::2], times[1::2], strict=False))
    placed = [glued.placed(segment(a, b, [word(a, b)] if timed else None)) for a, b in parts]
    found = [moment for one in placed for moment in (one.start, one.end)]
    assert all(
        any(start / SAMPLE_RATE - 0.001 <= moment <= end / SAMPLE_RATE + 0.001 for start, end in spans)
        for moment in found
    )
    assert [one.start for one in placed] == sorted(one.start for one in placed)
    assert all(one.start <= one.end for one in placed)


def test_the_sound_of_the_piece_is_that_of_its_parts() -> None:
    """One after the other, without what lies between."""
    assert list(Glued([(1, 3), (5, 8)]).sound(np.arange(10, dtype=np.float32))) == [1, 2, 5, 6, 7]


def test_the_padding_is_that_of_voice_detection() -> None:
    """Another version of faster-whisper with less of it would make us cut off speech."""
    from faster_whisper.vad import VadOptions  # noqa: PLC0415 - reads its environment when it is imported

    assert VadOptions().speech_pad_ms == PADDING * 1000
