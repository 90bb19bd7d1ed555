"""Tokens of a CTC model -> words, and words -> segments. Pure.

A CTC model says when a token begins, never when it ends. The rule: a word ends where the next token begins, or with the
last frame of the sound, but at most `LETTER` seconds after its last token began.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final

from sttd.consumer.engine.glue import Span
from sttd.consumer.engine.model import guards
from sttd.consumer.engine.model.segments import RawSegment, RawWord
from sttd.consumer.engine.onnx.ctc import CtcToken, Recognized
from sttd.consumer.pcm import SAMPLE_RATE
from sttd.schemas.reply import Segment

LETTER: Final = 0.4
"""Seconds that the last letter of a word lasts at most: silence follows many words, and none is part of one."""
PAUSE: Final = 0.7
"""Seconds between two words of which the second begins a segment."""
ENDS: Final = tuple(".!?…")
"""What ends a segment where the model writes punctuation."""


@dataclass(frozen=True, slots=True)
class SpokenWord(RawWord):
    """A word, in seconds of the sound; its probability is the mean of its tokens'. `tokens`: what it is made of."""

    tokens: tuple[CtcToken, ...]


PartOf = Callable[[float, float], int]
"""(start, end), in seconds of a sound -> the part of the audio that they lie in."""


def words(found: Recognized, seconds: float, part_of: PartOf) -> Iterator[SpokenWord]:
    """The words of a sound of so many seconds. Together, with single spaces, they are its text.

    But no word is spoken in two parts of the audio, whatever a model makes of sound that was glued together.
    """
    letters = [number for number, token in enumerate(found.tokens) for _ in "".join(token.text.split())]
    at = 0
    for word in found.text.split():
        own = letters[at : at + len(word)]
        at += len(word)
        parts = [part_of(found.tokens[number].start, found.tokens[number].start) for number in own]
        borders = [place for place in range(1, len(word)) if parts[place] != parts[place - 1]]
        for begin, end in pairwise([0, *borders, len(word)]):
            yield _word(found, word[begin:end], own[begin], own[end - 1], seconds)


def _word(found: Recognized, text: str, first: int, last: int, seconds: float) -> SpokenWord:
    """One, from its first to its last token."""
    following = found.tokens[last + 1].start if last + 1 < len(found.tokens) else seconds
    start, latest = found.tokens[first].start, found.tokens[last].start + LETTER
    tokens = tuple(token for token in found.tokens[first : last + 1] if token.text.strip())
    probability = fmean(math.exp(token.logprob) for token in tokens)
    return SpokenWord(start, max(start, min(following, latest, seconds)), f" {text}", probability, tokens)


def segments(spoken: Sequence[SpokenWord], part_of: PartOf) -> Iterator[RawSegment]:
    """The words of a sound, cut at pauses, after what ends a sentence, and where parts of the audio meet."""
    run: list[SpokenWord] = []
    for word in spoken:
        if run and (
            word.start - run[-1].end >= PAUSE
            or run[-1].word.endswith(ENDS)
            or part_of(word.start, word.end) != part_of(run[-1].start, run[-1].end)
        ):
            yield _segment(run)
            run = []
        run.append(word)
    if run:
        yield _segment(run)


def _segment(run: list[SpokenWord]) -> RawSegment:
    text = "".join(word.word for word in run)  # begins with a space, as Whisper's
    return RawSegment(
        start=run[0].start,
        end=run[-1].end,
        text=text,
        avg_logprob=fmean(token.logprob for word in run for token in word.tokens),
        no_speech_prob=0.0,  # known where the segment lies in the audio only
        compression_ratio=guards.compression(text),
        words=run,
    )


def unheard(segment: Segment, spoken: Sequence[Span]) -> float:
    """The share of a segment in which voice detection heard none, in [0, 1]: its `no_speech_prob`.

    `spoken`: samples with speech.
    """
    start, end = segment.start * SAMPLE_RATE, segment.end * SAMPLE_RATE
    if end <= start:
        return 0.0
    heard = math.fsum(max(0.0, min(end, stop) - max(start, begin)) for begin, stop in spoken)
    return round(min(1.0, max(0.0, 1 - heard / (end - start))), 3)
