"""The model's segments -> the contract's. Pure.

Every result is fit for the wire: times lie inside the audio and in order, every number is finite.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sttd.consumer.errors import ModelFailed
from sttd.schemas.reply import Segment, Word


@dataclass(frozen=True, slots=True)
class RawWord:
    """One word as faster-whisper gives it; times in seconds."""

    start: float
    end: float
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class RawSegment:
    """One segment as faster-whisper gives it; times in seconds."""

    start: float
    end: float
    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    words: Sequence[RawWord] | None


def to_segment(raw: RawSegment, *, duration: float) -> Segment:
    """One segment of the reply, but for its id there. `duration`: of the audio, in seconds.

    Raises `ModelFailed` where the model computed no number: its text is then noise too.
    """
    start, end = _span(raw.start, raw.end, duration)
    return Segment(
        id=0,
        start=start,
        end=end,
        text=raw.text,
        avg_logprob=_finite(raw.avg_logprob),
        no_speech_prob=_finite(raw.no_speech_prob),
        compression_ratio=_finite(raw.compression_ratio),
        words=None if raw.words is None else [_word(word, duration) for word in raw.words],
    )


def _word(raw: RawWord, duration: float) -> Word:
    start, end = _span(raw.start, raw.end, duration)
    return Word(start=start, end=end, word=raw.word, probability=_finite(raw.probability))


def _span(start: float, end: float, duration: float) -> tuple[float, float]:
    """To the millisecond, inside the audio: Whisper's last timestamps may lie in the padding after it."""
    begin = min(max(round(_finite(start), 3), 0.0), duration)
    return begin, max(begin, min(round(_finite(end), 3), duration))


def _finite(value: float) -> float:
    number = float(value)  # numpy's own floats are no JSON numbers
    if not math.isfinite(number):
        raise ModelFailed("the model computed a number that is not finite")
    return number
