"""How sure a text is: the model's own figures -> the expected share of right words, as it was measured. Pure.

Only for models, languages and tasks that were measured on people's voices (docs/benchmarks/confidence.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from types import MappingProxyType
from typing import Final

from sttd.consumer.engine.model import guards
from sttd.consumer.engine.model.contexts import BASE
from sttd.schemas.reply import Segment

DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class Curve:
    """A rising line through points (figure of the model, share of right words), level beyond its ends."""

    points: tuple[tuple[float, float], ...]

    def at(self, figure: float) -> float:
        """The share of right words, 0 to 1."""
        if figure <= self.points[0][0]:
            return self.points[0][1]
        for (left, low), (right, high) in pairwise(self.points):
            if figure <= right:
                return round(low + (high - low) * (figure - left) / (right - left), DIGITS)
        return self.points[-1][1]


@dataclass(frozen=True, slots=True)
class Calibration:
    """`words`: by a word's probability; `segments`: by the average log probability, where no words were asked for."""

    words: Curve
    segments: Curve

    def rated(self, segments: Sequence[Segment]) -> list[Segment]:
        """The same segments and words, each with its confidence."""
        return [self._segment(segment) for segment in segments]

    def _segment(self, segment: Segment) -> Segment:
        """By its words where they are known: the average is of a whole window, which may have several segments."""
        if not segment.words:
            return segment.model_copy(update={"confidence": self.segments.at(segment.avg_logprob)})
        words = [word.model_copy(update={"confidence": self.words.at(word.probability)}) for word in segment.words]
        shares = [word.confidence or 0.0 for word in words if guards.normalized(word.word)]
        share = round(fmean(shares), DIGITS) if shares else self.segments.at(segment.avg_logprob)
        return segment.model_copy(update={"confidence": share, "words": words})


NONE: Final[Mapping[str, Calibration]] = MappingProxyType({})

SIZES: Final = {145_217_532}
"""Bytes of `model.bin` of the models below: the hash of another takes seconds, and says nothing."""

MEASURED: Final[Mapping[str, Mapping[str, Calibration]]] = {
    BASE: {
        "ru": Calibration(
            words=Curve(
                (
                    (0.291, 0.407),
                    (0.581, 0.56),
                    (0.718, 0.683),
                    (0.772, 0.699),
                    (0.821, 0.812),
                    (0.867, 0.865),
                    (0.909, 0.928),
                    (0.946, 0.959),
                    (0.971, 0.976),
                    (0.986, 0.981),
                    (0.995, 0.992),
                )
            ),
            segments=Curve(
                (
                    (-0.918, 0.312),
                    (-0.635, 0.617),
                    (-0.429, 0.787),
                    (-0.34, 0.836),
                    (-0.308, 0.874),
                    (-0.273, 0.884),
                    (-0.218, 0.931),
                )
            ),
        ),
        "en": Calibration(
            words=Curve(
                (
                    (0.317, 0.65),
                    (0.532, 0.818),
                    (0.658, 0.825),
                    (0.865, 0.945),
                    (0.964, 0.958),
                    (0.98, 0.987),
                    (0.988, 0.988),
                    (0.996, 0.996),
                )
            ),
            segments=Curve(((-0.803, 0.719), (-0.558, 0.883), (-0.327, 0.969))),
        ),
    }
}
"""By the SHA-256 of `model.bin`, then by language."""


def known(size: int, digest: Callable[[], str]) -> Mapping[str, Calibration]:
    """What was measured for a model, by language. `size`: bytes of its `model.bin`; `digest`: its SHA-256."""
    return MEASURED.get(digest(), NONE) if size in SIZES else NONE
