"""The fewest consumers that answer in time: the busiest hour, simulated for ever more of them."""

import math
from dataclasses import dataclass
from typing import Final

from sttd.sizing.autoscaler import Autoscaler
from sttd.sizing.profile import Profile
from sttd.sizing.simulation import Fleet, Note, Outcome, percentile, simulate
from sttd.sizing.traffic import HOUR_SECONDS, Day

P95: Final = 0.95
SEED: Final = 1
MOST_NOTES: Final = 6_000
"""Notes of one simulation: enough for a steady p95, a tenth of a second of work."""

FEWEST_NOTES: Final = 3_000
"""With less traffic the busiest hour is repeated: a p95 of forty notes proves little."""

LEAST_SECONDS: Final = 300.0
"""However much traffic: long enough for a queue to build up."""

FULL: Final = 0.98
"""Above this share of its slots' time a queue grows without end."""


FLOOD_SECONDS: Final = 600.0


class OutOfReach(Exception):
    """No number of consumers is fast enough; `fastest`: the p95 in seconds of notes that never wait."""

    def __init__(self, fastest: float) -> None:
        super().__init__(f"{fastest:.2f} s")
        self.fastest = fastest


@dataclass(frozen=True, slots=True)
class Machine:
    """One consumer's: `cores` are its slots; how many notes it may hold."""

    profile: Profile
    cores: int
    prefetch: int | None = None

    def fleet(self, consumers: int) -> Fleet:
        """So many of them."""
        return Fleet(consumers, self.cores, self.prefetch)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the busiest hour looks like with so many consumers. Times in seconds from sending to the answer."""

    notes: float
    p95_target: float
    consumers: int
    cores: int
    p50: float
    p95: float
    p99: float
    utilisation: float
    in_hand: int


class Search:
    """Plans for one machine and one kind of day; remembers what it has simulated."""

    def __init__(self, machine: Machine, day: Day) -> None:
        """`day.notes` is only where to begin: `plan` takes other numbers."""
        self._machine, self._day = machine, day
        self._runs: dict[tuple[float, int], Outcome] = {}
        self._traffic: dict[float, list[Note]] = {}

    @property
    def core_seconds(self) -> float:
        """Of one note, on average."""
        return self._day.lengths.mean(self._machine.profile.core)

    @property
    def alone(self) -> float:
        """The p95 in seconds of notes that never wait."""
        return percentile(
            (self._machine.profile.core(self._day.lengths.quantile((n + 0.5) / 400)) for n in range(400)), P95
        )

    def plan(self, notes: float, target: float) -> Plan:
        """The fewest consumers with that p95. Raises `OutOfReach`."""
        if target <= self.alone:
            raise OutOfReach(self.alone)
        day = Day(notes, self._day.peak, self._day.lengths)
        low = max(1, math.ceil(day.peak_rate * self.core_seconds / self._machine.cores / FULL))
        high = low
        while self._run(notes, high).percentile(P95) > target:
            low, high = high + 1, high + max(1, high // 4)
            if high > 64 * low + 1_000:
                raise OutOfReach(self.alone)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._run(notes, middle).percentile(P95) <= target else (middle + 1, high)
        return self._told(notes, target, low)

    def scaled(self, autoscaler: Autoscaler) -> Outcome:
        """The whole day with an autoscaler, from midnight on, with as few as it allows."""
        notes = self._day.whole(SEED)
        return simulate(notes, self._machine.profile.cost, self._machine.fleet(autoscaler.least), autoscaler)

    def beside_flood(self, plan: Plan, flood: int, *, keys: bool) -> float:
        """The p95 in seconds of what others send in ten minutes, when one caller sends so many notes at their start.

        `keys`: whether requests name their callers. Notes of the flood have the mean length.
        """
        others = [note for note in self._busiest(plan.notes) if note.at < FLOOD_SECONDS]
        many = [Note(0.0, self._day.lengths.mean(), "flood")] * flood
        notes = [*many, *(note._replace(caller=str(number)) for number, note in enumerate(others))]
        given = notes if keys else [note._replace(caller=None) for note in notes]
        answers = simulate(given, self._machine.profile.cost, self._machine.fleet(plan.consumers)).answers
        return percentile((answer.latency for answer in answers if answer.at > 0), P95)

    def _run(self, notes: float, consumers: int) -> Outcome:
        if (notes, consumers) not in self._runs:
            self._runs[notes, consumers] = simulate(
                self._busiest(notes), self._machine.profile.cost, self._machine.fleet(consumers)
            )
        return self._runs[notes, consumers]

    def _busiest(self, notes: float) -> list[Note]:
        if notes not in self._traffic:
            day = Day(notes, self._day.peak, self._day.lengths)
            seconds = min(max(HOUR_SECONDS, FEWEST_NOTES / day.peak_rate), MOST_NOTES / day.peak_rate)
            self._traffic[notes] = day.busiest(max(seconds, LEAST_SECONDS), SEED)
        return self._traffic[notes]

    def _told(self, notes: float, target: float, consumers: int) -> Plan:
        run, fleet = self._run(notes, consumers), self._machine.fleet(consumers)
        p50, p95, p99 = (run.percentile(share) for share in (0.5, P95, 0.99))
        return Plan(
            notes, target, consumers, consumers * self._machine.cores, p50, p95, p99, run.utilisation, fleet.in_hand
        )
