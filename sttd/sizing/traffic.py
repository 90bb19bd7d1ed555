"""A messenger's day: how many notes in each hour, how long they are, and when each arrives. Seeded.

Every shape is an assumption that docs/scaling.md names.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Final

from sttd.sizing.simulation import Note

DAY_SECONDS: Final = 86_400
HOUR_SECONDS: Final = 3_600
SHORTEST: Final = 3.0
LONGEST: Final = 60.0
SPREAD: Final = 0.75
"""Of the logarithm of a note's length: with a mean of 12 s half of the notes are shorter than 9.5 s, one in ten longer
than 25 s."""

HOURS: Final = (6, 3, 2, 1, 1, 2, 5, 14, 28, 36, 40, 42, 45, 44, 43, 44, 46, 50, 56, 62, 64, 58, 40, 18)
"""The shape of a day from midnight on: quiet nights, a working day, a peak in the evening."""

SUCCESSION: Final = 1.3
SUCCESSION_SECONDS: Final = 10.0
"""People send notes in a row: so many on average, so many seconds apart on average."""

SWING: Final = 0.15
"""Standard deviation of one minute's rate around the hour's, as a share of it: news, a football match."""


def hour_shares(peak: float) -> list[float]:
    """Shares of the day's 24 hours, of which the largest is `peak`. Raises `ValueError` when a day cannot have that."""
    if not 1 / 24 < peak < 1:
        raise ValueError("the peak hour's share lies between 1/24 (0.042, every hour alike) and 1")

    def shares(steepness: float) -> list[float]:
        raised = [math.exp(steepness * math.log(hour / max(HOURS))) for hour in HOURS]
        return [hour / sum(raised) for hour in raised]

    return shares(_solve(lambda steepness: max(shares(steepness)), peak, 0.0, 1_000.0))


@dataclass(frozen=True, slots=True)
class Lengths:
    """Note lengths in seconds: logarithmically normal, cut at 3 and 60."""

    middle: float

    @classmethod
    def with_mean(cls, mean: float) -> "Lengths":
        """Raises `ValueError` when no such lengths have that mean."""
        if not SHORTEST < mean < LONGEST:
            raise ValueError(f"the mean note length lies between {SHORTEST:g} and {LONGEST:g} s")
        return cls(_solve(lambda middle: cls(middle).mean(), mean, -5.0, 10.0))

    def quantile(self, share: float) -> float:
        """The length that `share` of the notes stay within."""
        return _cut(math.exp(self.middle + SPREAD * NormalDist().inv_cdf(share)))

    def mean(self, of: Callable[[float], float] = float) -> float:
        """The mean of `of(length)`."""
        return fmean(of(self.quantile((number + 0.5) / 400)) for number in range(400))

    def draw(self, chance: random.Random) -> float:
        """One note's length."""
        return _cut(chance.lognormvariate(self.middle, SPREAD))


@dataclass(frozen=True, slots=True)
class Day:
    """So many notes in 24 hours, the `peak` share of them in the busiest."""

    notes: float
    peak: float
    lengths: Lengths

    @property
    def peak_rate(self) -> float:
        """Notes a second in the busiest hour."""
        return self.notes * self.peak / HOUR_SECONDS

    def whole(self, seed: int) -> list[Note]:
        """The day's notes from midnight on."""
        shares = hour_shares(self.peak)
        rates = [self.notes * share / HOUR_SECONDS for share in shares]
        return arrivals(lambda at: rates[int(at // HOUR_SECONDS) % 24], DAY_SECONDS, self.lengths, seed)

    def busiest(self, seconds: float, seed: int) -> list[Note]:
        """So many seconds at the busiest hour's rate."""
        return arrivals(lambda _at: self.peak_rate, seconds, self.lengths, seed)


def arrivals(rate: Callable[[float], float], seconds: float, lengths: Lengths, seed: int) -> list[Note]:
    """Notes in order of time.

    `rate(at)`: notes a second at `at` seconds, constant within a minute; `seconds`: of traffic; `seed`: equal seeds
    give equal notes.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable traffic, not secrets
    found = (
        note
        for minute in range(math.ceil(seconds / 60))
        for note in _minute(60.0 * minute, rate(60.0 * minute), lengths, chance)
    )
    return sorted(note for note in found if note.at < seconds)


def _minute(start: float, rate: float, lengths: Lengths, chance: random.Random) -> Iterator[Note]:
    """People begin as a Poisson process; each sends one note or a few in a row."""
    people = rate / SUCCESSION * max(0.0, chance.gauss(1.0, SWING))
    at = start + chance.expovariate(people) if people else math.inf
    while at < start + 60:
        sent = at
        yield Note(sent, lengths.draw(chance))
        while chance.random() < 1 - 1 / SUCCESSION:
            sent += chance.expovariate(1 / SUCCESSION_SECONDS)
            yield Note(sent, lengths.draw(chance))
        at += chance.expovariate(people)


def _cut(seconds: float) -> float:
    return min(max(seconds, SHORTEST), LONGEST)


def _solve(rising: Callable[[float], float], goal: float, low: float, high: float) -> float:
    """Where a rising function reaches the goal."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < goal else (low, middle)
    return (low + high) / 2
