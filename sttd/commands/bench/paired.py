"""Two ways to transcribe the same notes: word errors, the difference with its 95 % interval, a verdict. Pure.

`sttd bench --context` and the benchmark (`python -m bench accuracy`) compare with the same code. Needs numpy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

ROUNDS: Final = 4000
SEED: Final = 11
MIDDLE: Final = (2.5, 97.5)
"""Percentiles between which 95 % of the resampled figures lie."""

MEAN: Final = 0.003
MOST: Final = 0.010
"""A safe setting makes at most so many word errors more a word: in the mean, and at the upper end of the interval."""

APART: Final = 0.15
"""Texts that differ in more of their words do so by more than arithmetic: with `base`, int8 and float32 encoders are
about 0.06 apart."""

FEWEST: Final = 100
"""Notes. The interval of fewer is too narrow: what happens to one note in fifty may not be among them."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Figure:
    """A share and the 95 % interval of it."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Decision:
    """`more`: about how many notes are missing for a decision; with `scripts`: how many with scripts would make it."""

    word: Literal["safe", "worse", "not enough audio"]
    more: int = 0
    scripts: bool = False


def edits(one: Sequence[str], other: Sequence[str]) -> int:
    """The fewest words to replace, leave out or add, so that one becomes the other."""
    row = list(range(len(other) + 1))
    for above, word in enumerate(one):
        corner, row[0] = row[0], above + 1
        for place, another in enumerate(other, 1):
            corner, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, corner + (word != another))
    return row[-1]


def share(wrong: Sequence[int], of: Sequence[int]) -> Figure:
    """Errors over words, of all utterances together. Utterances are drawn again, with replacement, for the interval."""
    return _figure(np.array(wrong), np.array(of))


def difference(ours: Sequence[int], theirs: Sequence[int], of: Sequence[int]) -> Figure:
    """Our share less theirs on the same utterances.

    Both are drawn together, so what is hard for both does not widen the interval.
    """
    return _figure(np.array(ours) - np.array(theirs), np.array(of))


def _figure(wrong: Counts, of: Counts) -> Figure:
    drawn = np.random.default_rng(SEED).multinomial(of.size, np.full(of.size, 1 / of.size), ROUNDS)
    low, high = np.percentile((drawn @ wrong) / (drawn @ of), MIDDLE)
    return Figure(float(wrong.sum() / of.sum()), float(low), float(high))


def by_errors(more_errors: Figure, notes: int) -> Decision:
    """`more_errors`: the difference of word error rates, of so many notes."""
    if notes < FEWEST:
        return Decision("not enough audio", FEWEST - notes)
    if more_errors.value <= MEAN and more_errors.high < MOST:
        return Decision("safe")
    if more_errors.low > 0:
        return Decision("worse")
    bound = MOST - max(more_errors.value, 0.0) if more_errors.value <= MEAN else more_errors.value
    wanted = notes * (more_errors.half / bound) ** 2  # the width goes with the square root of their number
    return Decision("not enough audio", max(1, math.ceil(wanted) - notes))


def by_texts(apart: Sequence[int], words: Sequence[int]) -> Decision:
    """Without scripts. `apart`: of each note, words that differ between the two texts; `words`: of the one.

    The word error rates of two texts differ by no more than the texts do. So little difference is safe; much of it says
    nothing, until it is too much; then scripts are wanted.
    """
    found, notes = share(apart, words), len(words)
    if notes < FEWEST:
        return Decision("not enough audio", FEWEST - notes)
    if found.high < MOST:
        return Decision("safe")
    if found.low > APART:
        return Decision("worse")
    either_side = 1.96 * math.hypot(*apart) / sum(words)
    return Decision("not enough audio", max(FEWEST, math.ceil(notes * (either_side / MOST) ** 2)), scripts=True)
