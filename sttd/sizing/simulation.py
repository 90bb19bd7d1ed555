"""One queue, many consumers, event by event: RabbitMQ's round robin and prefetch, the slots' planner, an autoscaler.

Owns no clock and no randomness: equal notes give equal answers.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Final, NamedTuple

from sttd.sizing.autoscaler import Autoscaler, Replicas

OVERTAKING: Final = 60.0
PATIENCE: Final = 5.0
"""As in the daemon's planner: a window is due when it began to wait, plus min(remaining audio / 60, 5 s)."""

SHARE: Final = 0.5
"""Of the notes in hand, that one caller may have while the hand is full: `STTD_CALLER_SHARE`."""


Slowness = Callable[[float, int], float]


class Note(NamedTuple):
    """A voice note: when the broker has it, and how long it sounds, both in seconds; and the key of its caller."""

    at: float
    seconds: float
    caller: str | None = None


class Cost(NamedTuple):
    """What a note takes, in seconds: `before` in no slot (the decoder's), then a slot for each window."""

    before: float
    windows: tuple[float, ...]


class Answer(NamedTuple):
    """A note's times: sent, first in a slot, answered, in seconds; which consumer; seconds of audio."""

    at: float
    begun: float
    answered: float
    consumer: int
    seconds: float

    @property
    def latency(self) -> float:
        """Seconds from sending to the answer."""
        return self.answered - self.at


@dataclass(frozen=True, slots=True)
class Fleet:
    """Equal consumers. `prefetch`: notes in hand of each at once; None is the daemon's default, 4 x slots."""

    consumers: int
    slots: int = 1
    prefetch: int | None = None

    @property
    def in_hand(self) -> int:
        """Notes that one consumer may hold."""
        return self.prefetch or 4 * self.slots


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run.

    `busy`: seconds of all slots at work; `there`: seconds of all consumers, from their order to their end.
    """

    answers: list[Answer]
    busy: float
    there: float
    most: int
    slots: int

    def percentile(self, share: float) -> float:
        """Answer time in seconds that `share` of the notes stay within, interpolated."""
        return percentile([answer.latency for answer in self.answers], share)

    @property
    def utilisation(self) -> float:
        """Share of the slots' time at work."""
        return self.busy / (self.there * self.slots) if self.there else 0.0


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` of the values stay within, interpolated between neighbours.

    Raises `ValueError` for no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def simulate(
    notes: Sequence[Note],
    cost: Callable[[Note], Cost],
    fleet: Fleet,
    autoscaler: Autoscaler | None = None,
    *,
    slowness: Slowness = lambda _at, _at_work: 1.0,
) -> Outcome:
    """Let the fleet answer all notes, which are in order of time.

    With an autoscaler `fleet.consumers` are there at the start. `slowness(at, at_work)`: how many times longer work
    takes that begins at that moment, while so many pieces of work are under way in all consumers, itself included:
    cores are shared, with others and among slots.
    """
    return _Run(notes, cost, fleet, autoscaler, slowness).outcome()


@dataclass(slots=True)
class _Job:
    note: Note
    windows: tuple[float, ...]
    moved: bool
    begun: float = -1.0
    done: int = 0

    def due(self, now: float) -> float:
        remaining = self.note.seconds * (1 - self.done / len(self.windows))
        return now + min(remaining / OVERTAKING, PATIENCE)


@dataclass(slots=True)
class _Consumer:
    number: int
    ordered: float  # when the autoscaler asked for it
    in_hand: int = 0
    moved: int = 0  # notes of the overflow queue in hand, beside the others
    busy: int = 0
    in_line: bool = False
    leaving: bool = False
    held: Counter[str | None] = field(default_factory=Counter)
    waiting: dict[tuple[bool, str | None], list[tuple[float, int, _Job]]] = field(default_factory=dict)
    turns: dict[str | None, int] = field(default_factory=dict)

    def next(self, turn: int) -> _Job | None:
        """The daemon's order: overflow last, callers by turns, then the moment due."""
        lines = [key for key, line in self.waiting.items() if line]
        if not lines:
            return None
        moved, caller = min(lines, key=lambda key: (key[0], self.turns.get(key[1], 0), self.waiting[key][0][:2]))
        self.turns[caller] = turn
        return heapq.heappop(self.waiting[moved, caller])[2]


class _Run:
    """The event loop: a heap of (time, order, call)."""

    def __init__(
        self,
        notes: Sequence[Note],
        cost: Callable[[Note], Cost],
        fleet: Fleet,
        autoscaler: Autoscaler | None,
        slowness: Slowness,
    ) -> None:
        self._notes, self._cost, self._fleet, self._slowness = notes, cost, fleet, slowness
        self._now = 0.0
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._queue: deque[Note] = deque()
        self._overflow: deque[Note] = deque()
        self._line: deque[_Consumer] = deque()  # those with room, in the order in which the broker serves them
        self._there: dict[int, _Consumer] = {}
        self._numbers = count()
        self._answers: list[Answer] = []
        self._busy = self._seconds_there = 0.0
        self._starting = self._most = self._at_work = 0
        self._autoscaler = autoscaler
        self._replicas = Replicas(autoscaler, fleet.consumers) if autoscaler else None

    def outcome(self) -> Outcome:
        for _ in range(self._fleet.consumers):
            self._join(0.0)
        if self._autoscaler:
            self._at(self._autoscaler.poll_seconds, self._poll)
        arrivals = iter(self._notes)
        arriving = next(arrivals, None)
        while len(self._answers) < len(self._notes):
            if arriving is not None and (not self._events or arriving.at <= self._events[0][0]):
                self._now = arriving.at
                self._queue.append(arriving)
                self._deliver()
                arriving = next(arrivals, None)
                continue
            self._now, _, call = heapq.heappop(self._events)
            call()
        for consumer in list(self._there.values()):
            self._end(consumer)
        return Outcome(self._answers, self._busy, self._seconds_there, self._most, self._fleet.slots)

    def _at(self, moment: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), call))

    def _join(self, ordered: float) -> None:
        consumer = _Consumer(next(self._numbers), ordered)
        self._there[consumer.number] = consumer
        self._most = max(self._most, len(self._there))
        self._has_room(consumer)
        self._deliver()

    def _has_room(self, consumer: _Consumer) -> None:
        if not (consumer.in_line or consumer.leaving):
            consumer.in_line = True
            self._line.append(consumer)

    def _deliver(self) -> None:
        """The broker gives the oldest note to the consumer whose turn it is, who then goes to the end of the line."""
        while self._queue and self._line:
            consumer = self._line.popleft()
            consumer.in_line = False
            if consumer.leaving:
                continue
            note = self._queue.popleft()
            if self._one_too_many(consumer, note):
                self._overflow.append(note)
                self._has_room(consumer)
                continue
            consumer.in_hand += 1
            consumer.held[note.caller] += 1
            if consumer.in_hand < self._fleet.in_hand:
                self._has_room(consumer)
            self._take(consumer, note, moved=False)
        for consumer in self._there.values():
            while self._overflow and consumer.moved < self._fleet.slots and not consumer.leaving:
                consumer.moved += 1
                self._take(consumer, self._overflow.popleft(), moved=True)

    def _one_too_many(self, consumer: _Consumer, note: Note) -> bool:
        hand = self._fleet.in_hand
        return (
            note.caller is not None
            and consumer.in_hand == hand - 1
            and consumer.held[note.caller] >= max(1, int(SHARE * hand))
        )

    def _take(self, consumer: _Consumer, note: Note, *, moved: bool) -> None:
        before, windows = self._cost(note)
        job = _Job(note, windows, moved)
        self._at(self._now + self._begin(before), partial(self._decoded, consumer, job))

    def _begin(self, seconds: float) -> float:
        """How long a piece of work takes that begins now."""
        self._at_work += 1
        return seconds * self._slowness(self._now, self._at_work)

    def _decoded(self, consumer: _Consumer, job: _Job) -> None:
        self._at_work -= 1
        self._wait(consumer, job)

    def _wait(self, consumer: _Consumer, job: _Job) -> None:
        line = consumer.waiting.setdefault((job.moved, job.note.caller), [])
        heapq.heappush(line, (job.due(self._now), next(self._order), job))
        self._work(consumer)

    def _work(self, consumer: _Consumer) -> None:
        while consumer.busy < self._fleet.slots and (job := consumer.next(next(self._order))) is not None:
            consumer.busy += 1
            if job.begun < 0:
                job.begun = self._now
            seconds = self._begin(job.windows[job.done])
            self._busy += seconds
            self._at(self._now + seconds, partial(self._window_done, consumer, job))

    def _window_done(self, consumer: _Consumer, job: _Job) -> None:
        consumer.busy -= 1
        self._at_work -= 1
        job.done += 1
        if job.done < len(job.windows):
            self._wait(consumer, job)
            return
        self._answers.append(Answer(job.note.at, job.begun, self._now, consumer.number, job.note.seconds))
        if job.moved:
            consumer.moved -= 1
        else:
            consumer.in_hand -= 1
            consumer.held[job.note.caller] -= 1
        self._work(consumer)
        if consumer.leaving and not (consumer.in_hand or consumer.moved):
            self._end(consumer)
            return
        if not job.moved:
            self._has_room(consumer)
        self._deliver()

    def _poll(self) -> None:
        """The autoscaler counts what waits at the broker; what consumers hold it cannot see."""
        assert self._autoscaler is not None
        assert self._replicas is not None
        there = [consumer for consumer in self._there.values() if not consumer.leaving]
        wanted = self._replicas.wanted(self._now, len(self._queue) + len(self._overflow))
        for _ in range(wanted - len(there) - self._starting):
            self._starting += 1
            self._at(self._now + self._autoscaler.start_seconds, partial(self._started, self._now))
        for consumer in there[: max(0, len(there) + self._starting - wanted)]:
            self._leave(consumer)
        self._at(self._now + self._autoscaler.poll_seconds, self._poll)

    def _started(self, ordered: float) -> None:
        self._starting -= 1
        self._join(ordered)

    def _leave(self, consumer: _Consumer) -> None:
        """SIGTERM: no more deliveries; what is in hand is finished."""
        consumer.leaving = True
        if not (consumer.in_hand or consumer.moved):
            self._end(consumer)

    def _end(self, consumer: _Consumer) -> None:
        del self._there[consumer.number]
        self._seconds_there += self._now - consumer.ordered
