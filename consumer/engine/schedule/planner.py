"""Which waiting model call starts next, and together with which others.

Pure and synchronous: the clock is passed in. Decides and returns what is to be done (`take`); never waits and never
calls the model. Not thread-safe: scheduler.py holds its lock around every method.

Order: interactive calls go before bulk ones, but for every tenth start (`BULK_EVERY`). Within a lane each call has a
moment by which it is due: when its window began to wait, and a grace. The grace is a second for every `OVERTAKING`
seconds of audio that its message still has ahead, at most `PATIENCE`. The earliest due goes first. So a short note
passes a long file, and no call is passed by one of its lane that came more than `PATIENCE` later.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Generic, Protocol, TypeVar

OVERTAKING: Final = 60.0
"""Seconds of remaining audio that one second of waiting makes up for."""

PATIENCE: Final = 5.0
"""Seconds: a call that comes later than this after another one of its lane never goes before it."""

BULK_EVERY: Final = 10
"""While bulk waits beside interactive work, every tenth start is bulk's."""


class Work(Protocol):
    """What the planner asks about the message that a call works for; asked anew at each decision."""

    @property
    def bulk(self) -> bool:
        """Whether it came by the bulk lane."""
        ...

    @property
    def remaining(self) -> float:
        """Seconds of its audio that are not transcribed yet."""
        ...


@dataclass(eq=False)
class Call:
    """One waiting model call.

    `since`: when the window that it belongs to began to wait; the calls of one window share it, so a window that has
    begun goes on before the next note of the same length begins. `kind`: calls of one kind may run as one batch; None:
    alone. `gathers`: equal for calls that open windows (`begins`) and for later ones of theirs that may be of one kind.
    """

    work: Work
    since: float
    kind: Hashable | None = None
    gathers: Hashable | None = None
    begins: bool = False
    added: float = field(default=0.0, init=False)
    number: int = field(default=0, init=False)


C = TypeVar("C", bound=Call)


@dataclass(eq=False, frozen=True, slots=True)
class Start(Generic[C]):
    """Calls that start now, as one, on one slot. The first is the one that was due next."""

    calls: tuple[C, ...]


class Planner(Generic[C]):
    """Decides over `slots` places. With `hold` 0 (a CPU) no place idles while a call waits.

    With `batch` over 1, calls of one kind go together: a batch starts when it is full, when its oldest call has waited
    `hold` seconds, or at once when nothing else runs. A call that gathers lets windows of its lane be opened first that
    are already waiting, until its batch is full.
    """

    def __init__(self, slots: int, *, batch: int = 1, hold: float = 0.0) -> None:
        """`slots`: starts at a time; `batch`: calls per start at most; `hold`: seconds. All at least 1, 1 and 0."""
        self.slots = slots
        self.batch = batch
        self._hold = hold
        self._waiting: list[C] = []
        self._running: set[Start[C]] = set()
        self._passed = 0  # interactive starts since bulk began to wait, or had its turn
        self._numbers = count()

    def __repr__(self) -> str:
        """Live counts."""
        return f"Planner(slots={self.slots}, running={len(self._running)}, waiting={len(self._waiting)})"

    @property
    def running(self) -> int:
        """Places taken."""
        return len(self._running)

    @property
    def waiting(self) -> tuple[C, ...]:
        """Calls that have not started, in the order in which they came."""
        return tuple(self._waiting)

    def add(self, call: C, now: float) -> None:
        """A call waits from now on."""
        call.added, call.number = now, next(self._numbers)
        self._waiting.append(call)

    def remove(self, call: C) -> None:
        """A call waits no more, and never ran. Raises `ValueError` for one that does not wait."""
        self._waiting.remove(call)

    def done(self, start: Start[C]) -> None:
        """What was started has ended, well or not: its place is free. Raises `KeyError` for what does not run."""
        self._running.remove(start)

    def take(self, now: float) -> list[Start[C]]:
        """What starts now; its calls wait no more, its places are taken until `done`."""
        starts: list[Start[C]] = []
        while len(self._running) < self.slots and (start := self._next(now)) is not None:
            self._begin(start)
            starts.append(start)
        return starts

    def wait(self, now: float) -> float | None:
        """Seconds after which `take` will start more although nothing else happens.

        None when only an event changes anything.
        """
        if not self._waiting or len(self._running) >= self.slots:
            return None
        return max(0.0, min(call.added for call in self._waiting) + self._hold - now)

    def _next(self, now: float) -> Start[C] | None:
        for head in self._in_order():
            calls = self._together(head)
            if (opens := self._opens_for(head, calls)) is not None:
                return Start((opens,))
            if head.kind is None or len(calls) == self.batch or not self._running or self._held(calls, now):
                return Start(calls)
        return None

    def _in_order(self) -> Iterator[C]:
        """By lane, then by the moment due."""
        bulks_turn = self._passed >= BULK_EVERY - 1
        return iter(sorted(self._waiting, key=lambda call: (call.work.bulk is not bulks_turn, *_due(call))))

    def _together(self, head: C) -> tuple[C, ...]:
        """The call and those that may go with it, of either lane: a place in a batch costs the others nothing."""
        if head.kind is None or self.batch == 1:
            return (head,)
        mates = sorted((call for call in self._waiting if call.kind == head.kind and call is not head), key=_due)
        return (head, *mates[: self.batch - 1])

    def _opens_for(self, head: C, calls: tuple[C, ...]) -> C | None:
        """The window that is opened before `head` goes, so that it can go with it."""
        if head.gathers is None or head.begins or len(calls) >= self.batch:
            return None
        lane = [call for call in self._waiting if call.work.bulk is head.work.bulk]
        latest = min(call.since for call in lane) + PATIENCE
        openers = (call for call in lane if call.begins and call.gathers == head.gathers and call.since <= latest)
        return min(openers, key=_due, default=None)

    def _held(self, calls: tuple[C, ...], now: float) -> bool:
        return now >= min(call.added for call in calls) + self._hold

    def _begin(self, start: Start[C]) -> None:
        self._waiting = [call for call in self._waiting if call not in start.calls]
        self._running.add(start)
        bulk_waits = any(call.work.bulk for call in self._waiting)
        bulk_went = any(call.work.bulk for call in start.calls)
        self._passed = self._passed + 1 if bulk_waits and not bulk_went else 0


def _due(call: Call) -> tuple[float, float, int]:
    remaining = call.work.remaining
    return call.since + min(remaining / OVERTAKING, PATIENCE), remaining, call.number
