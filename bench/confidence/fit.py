"""Figures of the model -> the curve of a calibration: rising, of few points; and how far a curve is off. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from bench.confidence.judge import Judged, Pair
from sttd.commands.bench.paired import MIDDLE, ROUNDS, SEED, Figure
from sttd.consumer.engine.model.confidence import DIGITS, Calibration, Curve
from sttd.schemas.reply import Segment

EDGES: Final = (0, 0.02, 0.05, 0.09, 0.14, 0.2, 0.27, 0.35, 0.44, 0.54, 0.65, 0.77, 0.89, 1)
"""Which parts of all figures, from the least on, make a point: narrow ones where the words are wrong most."""
FEWEST: Final = 25
"""Figures of one point."""
BINS: Final = 10

Rated = Sequence[Sequence[Pair]]
"""Of each note the pairs of a confidence and what was right."""


def calibration(notes: Sequence[Judged]) -> Calibration:
    """What fits these notes best."""
    words = [(word.probability, right) for note in notes for word, right in note.words(note.segments)]
    segments = [(segment.avg_logprob, share) for note in notes for segment, share in note.shares(note.segments)]
    return Calibration(words=curve(words), segments=curve(segments))


def curve(pairs: Iterable[Pair]) -> Curve:
    """The means of parts of the pairs; neighbours that fall are one part. A point has never a share of all or none."""
    blocks: list[tuple[float, float, int]] = []  # sums of figures and of shares, and how many
    for part in _parts(sorted(pairs)):
        blocks.append((sum(figure for figure, _ in part), sum(share for _, share in part), len(part)))
        while len(blocks) > 1 and _share(blocks[-2]) >= _share(blocks[-1]):
            last, before = blocks.pop(), blocks.pop()
            blocks.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    return Curve(tuple((round(block[0] / block[2], DIGITS), round(_share(block), DIGITS)) for block in blocks))


def _parts(ordered: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    """What is too few for a point goes with the next part, at the end with the one before."""
    borders = [0]
    for edge in EDGES[1:]:
        border = round(edge * len(ordered))
        if border - borders[-1] >= FEWEST and len(ordered) - border >= FEWEST:
            borders.append(border)
    borders.append(len(ordered))
    yield from (ordered[first:last] for first, last in pairwise(borders))


def _share(block: tuple[float, float, int]) -> float:
    """As if there were one right and one wrong word more."""
    return (block[1] + 1) / (block[2] + 2)


def crossed(notes: Sequence[Judged], *, own: bool = False) -> list[tuple[Judged, Calibration]]:
    """Each note with the curves that the other fold gives, or its own."""
    by_fold = [calibration([note for note in notes if note.fold == fold]) for fold in (0, 1)]
    return [(note, by_fold[note.fold if own else 1 - note.fold]) for note in notes]


def words(notes: Iterable[tuple[Judged, Calibration]]) -> Rated:
    """Confidences of words as the daemon gives them."""
    return [
        [(word.confidence or 0.0, right) for word, right in note.words(curves.rated(note.segments))]
        for note, curves in notes
    ]


def segments(notes: Iterable[tuple[Judged, Calibration]], *, with_words: bool) -> Rated:
    """Confidences of segments as the daemon gives them, with words asked for or without."""
    found = []
    for note, curves in notes:
        heard = note.segments if with_words else [_wordless(one) for one in note.segments]
        found.append([(one.confidence or 0.0, share) for one, share in note.shares(curves.rated(heard))])
    return found


def _wordless(segment: Segment) -> Segment:
    return segment.model_copy(update={"words": None})


def raw_words(notes: Iterable[Judged]) -> Rated:
    """The model's own probabilities of words."""
    return [[(word.probability, right) for word, right in note.words(note.segments)] for note in notes]


def raw_segments(notes: Iterable[Judged]) -> Rated:
    """The model's own average probability of a segment's window."""
    return [
        [(math.exp(min(one.avg_logprob, 0.0)), share) for one, share in note.shares(note.segments)] for note in notes
    ]


def bins(notes: Rated) -> Any:
    """How many, sum of what was predicted, sum of what was right: shape (notes, bins, 3)."""
    sums = np.zeros((len(notes), BINS, 3))
    for place, pairs in enumerate(notes):
        for figure, right in pairs:
            sums[place, min(int(figure * BINS), BINS - 1)] += (1, figure, right)
    return sums


def error(notes: Rated) -> Figure:
    """The expected calibration error with its 95 % interval; notes are drawn again for that."""
    sums = bins(notes)
    drawn = np.random.default_rng(SEED).multinomial(len(notes), np.full(len(notes), 1 / len(notes)), ROUNDS)
    low, high = np.percentile(_error(np.tensordot(drawn, sums, 1)), MIDDLE)
    return Figure(float(_error(sums.sum(axis=0))), float(low), float(high))


def _error(sums: Any) -> Any:
    """`sums`: shape (..., bins, 3)."""
    return np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1) / sums[..., 0].sum(axis=-1)
