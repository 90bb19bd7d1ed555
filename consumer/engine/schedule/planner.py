"""Which waiting model call starts next, and together with which others.

Pure and synchronous: the clock is passed in. Decides and returns what is to be done (`take`); never waits and never
calls the model. Not thread-safe: scheduler.py holds its lock around every method.

Order: interactive calls go first, then overflow, then bulk, but for the starts that `BULK_EVERY` gives those two.
Within a lane callers go by turns, one window each; calls without a caller count as one caller's. Of one caller each
call has a moment by which it is due: when its window began to wait, and a grace. The grace is a second for every
`OVERTAKING` seconds of audio that its message still has ahead, at most `PATIENCE`. The earliest due goes first. So a
short note passes a long file, and no call is passed by one of its lane and caller that came more than `PATIENCE` later.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Generic, Protocol, TypeVar

OVERTAKING: Final = 60.0
"""Seconds of remaining audio that one second of waiting makes up for."""

PATIENCE: Final = 5.0
"""Seconds: a call that comes later than this after another one of its lane and caller never goes before it."""

BULK_EVERY: Final = 10
"""While one waits beside more urgent work, at least every tenth start is bulk's, every eleventh overflow's."""

LANES: Final = ("interactive", "overflow", "bulk")

TURNS: Final = 32
"""Callers whose last turn is remembered: at most 32 new callers can go before one."""


class Work(Protocol):
    """What the planner asks about the message that a call works for; asked anew at each decision."""

    @property
    def lane(self) -> str:
        """One of `LANES`."""

    @property
    def caller(self) -> str | None:
        """Whom it is for, if known."""

    @property
    def remaining(self) -> float:
        """Seconds of its audio that are not transcribed yet."""


@dataclass(eq=False, slots=True)
class Window:
    """What the calls of one window share, so that it goes on, once begun, before the next of its kind begins.

    `since`: when it began to wait. `turn`: the turn that its first call had.
    """

    since: float
    turn: int | None = None


@dataclass(eq=False)
class Call:
    """One waiting model call.

    `kind`: calls of one kind may run as one batch; None: alone. `gathers`: equal for calls that open windows (`begins`)
    and for later ones of theirs that may be of one kind.
    """

    work: Work
    window: Window
    kind: Hashable | None = None
    gathers: Hashable | None = None
    begins: bool = False
    added: float = field(default=0.0, init=False)
    number: int = field(default=0, init=False)

    @property
    def since(self) -> float:
        """When its window began to wait."""
        return self.window.since


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
        self._passed = dict.fromkeys(LANES[1:], 0)  # starts since a lane began to wait, or had one
        self._numbers = count()
        self._turns = count(1)
        self._last: dict[str | None, int] = {}  # the last turn of each caller, the oldest first
        self._several = False  # callers that wait: with one there are no turns

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
        self._several = len({call.work.caller for call in self._waiting}) > 1
        for head in self._in_order():
            calls = self._together(head)
            if (opens := self._opens_for(head, calls)) is not None:
                return Start((opens,))
            if head.kind is None or len(calls) == self.batch or not self._running or self._held(calls, now):
                return Start(calls)
        return None

    def _in_order(self) -> Iterator[C]:
        """By lane, then by turns, then by the moment due."""
        behind = [lane for lane, passed in self._passed.items() if passed >= BULK_EVERY - 1]
        lanes = (*reversed(behind), *LANES)
        return iter(sorted(self._waiting, key=lambda call: (lanes.index(call.work.lane), *self._order(call))))

    def _order(self, call: C) -> tuple[float, ...]:
        """Within a lane."""
        return (self._turn(call) if self._several else 0, *_due(call))

    def _turn(self, call: C) -> int:
        return self._last.get(call.work.caller, 0) if call.window.turn is None else call.window.turn

    def _together(self, head: C) -> tuple[C, ...]:
        """The call and those that may go with it, of any lane: a place in a batch costs the others nothing."""
        if head.kind is None or self.batch == 1:
            return (head,)
        mates = sorted((call for call in self._waiting if call.kind == head.kind and call is not head), key=self._order)
        return (head, *mates[: self.batch - 1])

    def _opens_for(self, head: C, calls: tuple[C, ...]) -> C | None:
        """The window that is opened before `head` goes, so that it can go with it."""
        if head.gathers is None or head.begins or len(calls) >= self.batch:
            return None
        lane = [call for call in self._waiting if call.work.lane == head.work.lane]
        latest = min(call.since for call in lane) + PATIENCE
        openers = [call for call in lane if call.begins and call.gathers == head.gathers and call.since <= latest]
        if self._several:
            # A caller opens one window at most since the turn of the head's caller, and none while another is next.
            next_turn = min((self._turn(call) for call in lane if call.window.turn is None), default=0)
            next_turn = min(next_turn, self._last.get(head.work.caller, 0) - 1)
            openers = [call for call in openers if self._turn(call) <= next_turn]
        return min(openers, key=self._order, default=None)

    def _held(self, calls: tuple[C, ...], now: float) -> bool:
        return now >= min(call.added for call in calls) + self._hold

    def _begin(self, start: Start[C]) -> None:
        self._waiting = [call for call in self._waiting if call not in start.calls]
        self._running.add(start)
        went, wait = ({call.work.lane for call in calls} for calls in (start.calls, self._waiting))
        for lane, passed in self._passed.items():
            self._passed[lane] = passed + 1 if lane in wait - went else 0
        for call in start.calls:
            self._took_turn(call)

    def _took_turn(self, call: C) -> None:
        if call.window.turn is not None:
            return
        call.window.turn = self._turn(call)
        self._last.pop(call.work.caller, None)
        self._last[call.work.caller] = next(self._turns)
        if len(self._last) > TURNS:
            del self._last[next(iter(self._last))]


def _due(call: Call) -> tuple[float, float, int]:
    remaining = call.work.remaining
    return call.since + min(remaining / OVERTAKING, PATIENCE), remaining, call.number
