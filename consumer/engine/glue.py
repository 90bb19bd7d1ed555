"""Parts of the audio that are transcribed as one piece: their sound, and where times of the piece lie in the audio."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np

from sttd.consumer.pcm import SAMPLE_RATE, Pcm
from sttd.schemas.reply import Segment, Word

Span = tuple[int, int]
"""Samples [start, end) of the audio with speech."""

Spans = tuple[Span, ...]

PADDING: Final = 0.4
"""Seconds without speech that voice detection leaves at each end of a part, before and after a pause."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Seconds: `at` in the piece, `start` and `end` in the audio."""

    at: float
    start: float
    end: float

    def shared(self, start: float, end: float) -> float:
        """How much of [start, end] of the piece lies in this part."""
        return min(end, self.at + self.end - self.start) - max(start, self.at)

    def moment(self, time: float) -> float:
        """A time of the piece as a time of the audio, inside this part."""
        return round(min(max(time - self.at + self.start, self.start), self.end), 3)


class Glued:
    """One piece made of parts. Times that it gives never lie in the pause between two parts."""

    def __init__(self, spans: Sequence[Span]) -> None:
        """`spans`: the parts, in samples, in order, at least one."""
        self._spans = spans
        places = accumulate((end - start for start, end in spans[:-1]), initial=0)
        self._parts = [
            _Part(at / SAMPLE_RATE, start / SAMPLE_RATE, end / SAMPLE_RATE)
            for at, (start, end) in zip(places, spans, strict=True)
        ]

    def sound(self, pcm: Pcm) -> Pcm:
        """The parts of the audio in one piece.

        `pcm`: the audio, mono, shape (samples,). Returns the same type, shape (sum of the spans,).
        """
        return np.concatenate([pcm[start:end] for start, end in self._spans])

    def placed(self, segment: Segment) -> Segment:
        """A segment with times of the piece -> the same with times of the audio."""
        if segment.words:
            words = [self._word(word) for word in segment.words]
            return segment.model_copy(update={"start": words[0].start, "end": words[-1].end, "words": words})
        first, last = self._parts_of(segment.start, segment.end)
        return segment.model_copy(update={"start": first.moment(segment.start), "end": last.moment(segment.end)})

    def part_of(self, start: float, end: float) -> int:
        """The number of the part that most of [start, end] of the piece lies in."""
        return max(range(len(self._parts)), key=lambda number: self._parts[number].shared(start, end))

    def _word(self, word: Word) -> Word:
        """No word is spoken in two parts."""
        part = self._parts[self.part_of(word.start, word.end)]
        return word.model_copy(update={"start": part.moment(word.start), "end": part.moment(word.end)})

    def _parts_of(self, start: float, end: float) -> tuple[_Part, _Part]:
        """The first and the last part of a segment.

        Whisper's timestamps often lie a little beyond the border of a part. A part of which the segment holds nothing
        but padding is not the segment's: the segment would stand through the whole pause.
        """
        most = max(self._parts, key=lambda part: part.shared(start, end))
        found = [part for part in self._parts if part is most or part.shared(start, end) > PADDING]
        return found[0], found[-1]
