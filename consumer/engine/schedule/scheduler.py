"""The gate between faster-whisper's threads and the model: the planner behind a lock, and the threads that wait for it.

Every call to the model passes it, from a thread that works for one message (`with gate.job(job)`). Callers block until
their call may run; what runs, runs in a caller's thread (a batch in that of its first call). Holds its lock only to
decide, never while the model works, and no slot between two calls.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast

from sttd.consumer.engine.schedule.planner import Call, Planner, Start, Window
from sttd.consumer.engine.transcriber import Job, Lane

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batchable(Generic[T]):
    """How a call can run together with others of its name and kind.

    `run` takes their items and gives one result for each, in order. `name`: the operation, as the timelines of their
    jobs call it.
    """

    name: str
    kind: Hashable
    item: Any
    run: Callable[[Sequence[Any]], Sequence[T]]


@dataclass(frozen=True, slots=True)
class _Nobody:
    """What a call without a job works for: nothing is shorter."""

    lane: Lane = "interactive"
    caller: str | None = None
    remaining: float = 0.0


_NOBODY: Final = _Nobody()


@dataclass(eq=False)
class _Ticket(Call):
    """A call and the thread that waits for it.

    `leads` is set for the thread that must compute; `left`: its thread waits no more.
    """

    call: Callable[[], Any] = field(kw_only=True)
    job: Job | None = field(kw_only=True)
    batch: Batchable[Any] | None = field(kw_only=True)
    asked: float = field(default_factory=time.monotonic, init=False)
    woken: threading.Event = field(default_factory=threading.Event, init=False)
    outcome: Future[Any] = field(default_factory=Future, init=False)
    leads: "Start[_Ticket] | None" = field(default=None, init=False)
    left: bool = field(default=False, init=False)


class Scheduler:
    """Lets calls through to the model, a few at a time, as a planner decides. Called from many threads."""

    def __init__(self, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`slots`: calls at a time. Calls are not coalesced until `coalesce`."""
        self._current = threading.local()
        self._lock = threading.Lock()
        self._clock = clock
        self._planner: Planner[_Ticket] = Planner(slots)

    def coalesce(self, slots: int, *, batch: int, hold: float) -> None:
        """Coalesce calls: before the first call.

        `slots` batches at a time of up to `batch` calls, each held `hold` s at most.
        """
        self._planner = Planner(slots, batch=batch, hold=hold)

    @contextmanager
    def job(self, job: Job) -> Iterator[None]:
        """Until the block ends, this thread's calls belong to `job`."""
        before = self.current
        self._current.job = job
        try:
            yield
        finally:
            self._current.job = before

    @property
    def current(self) -> Job | None:
        """The job that this thread works for, if any."""
        return getattr(self._current, "job", None)

    @property
    def busy(self) -> int:
        """Slots that the model works in now."""
        return self._planner.running

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._planner.waiting)

    def waiting_of(self, lane: Lane) -> int:
        """Calls of one lane that wait for their turn."""
        return sum(ticket.work.lane == lane for ticket in self._planner.waiting)

    def run(
        self,
        call: Callable[[], T],
        *,
        name: str | None = None,
        begins: bool = False,
        batch: Batchable[T] | None = None,
        gathers: Hashable | None = None,
    ) -> T:
        """Wait for the turn of this thread's job, then call. The job's `begun` is set before its first call.

        `name`: the operation, as the job's timeline calls it. `begins`: the call opens a window; those after it belong
        to the same one. `batch`: how it could run with others. `gathers`: equal for calls that open windows and for
        later ones of theirs that could run as one batch; such windows may be opened first. Raises `JobStopped` for a
        stopped job: at once while it waits, after its call when that runs.
        """
        job = self.current
        if job is not None:
            job.stop_if_told()
            call = job.timeline.call(name, call) if name else call
        ticket = _Ticket(
            job if job is not None else _NOBODY,
            self._window(job, begins),
            None if batch is None else (batch.name, batch.kind),
            gathers,
            begins,
            call=call,
            job=job,
            batch=batch,
        )
        with nullcontext() if ticket.job is None else ticket.job.stop.waking(ticket.woken.set):
            start = self._turn(ticket)
        if start is not None:
            self._compute(start)
            # The start holds the ticket: in a cycle, megabytes of features and encodings would stay until the next
            # garbage collection.
            ticket.leads = None
        return cast("T", ticket.outcome.result())

    def _window(self, job: Job | None, begins: bool) -> Window:
        """The window that a call of this thread belongs to."""
        known: tuple[Job | None, Window] | None = getattr(self._current, "window", None)
        if begins or known is None or known[0] is not job:
            known = self._current.window = (job, Window(self._clock()))
        return known[1]

    def _turn(self, ticket: _Ticket) -> Start[_Ticket] | None:
        """Wait; returns what this thread has to compute, or None when another one has computed its call too."""
        with self._lock:
            self._planner.add(ticket, self._clock())
            self._deal()
            pause = self._planner.wait(self._clock())
        while True:
            ticket.woken.wait(pause)
            with self._lock:
                ticket.woken.clear()  # before looking: whatever happens from here on wakes the next wait
                self._deal_once()
                if ticket.outcome.done():
                    return None
                if ticket.job is not None and ticket.job.stop.is_set():
                    self._withdraw(ticket)
                    ticket.job.stop_if_told()
                if ticket.leads is not None:
                    self._appoint_timekeeper()
                    return ticket.leads
                pause = self._planner.wait(self._clock())

    def _deal(self) -> None:
        """Something has changed: start what may start, and make sure that a thread wakes when the rest is due."""
        self._deal_once()
        self._appoint_timekeeper()

    def _deal_once(self) -> None:
        for start in self._planner.take(self._clock()):
            self._lead(start.calls[0], start)

    def _lead(self, ticket: _Ticket, start: Start[_Ticket]) -> None:
        ticket.leads = start
        ticket.woken.set()

    def _appoint_timekeeper(self) -> None:
        """Wake one thread when held calls are due.

        While calls are held to form a batch, one of their threads must wake when the time is over, and it may wait
        without limit now.
        """
        if self._planner.wait(self._clock()) is not None:
            self._planner.waiting[0].woken.set()

    def _withdraw(self, ticket: _Ticket) -> None:
        """A stopped call leaves.

        It leaves the queue, the lead of a batch that another thread then computes, or a batch that runs.
        """
        ticket.left = True
        if ticket.leads is not None:
            others = [other for other in ticket.leads.calls if not other.left]
            if others:
                self._lead(others[0], ticket.leads)
            else:
                self._planner.done(ticket.leads)
        elif ticket in self._planner.waiting:
            self._planner.remove(ticket)
        self._deal()

    def _compute(self, start: Start[_Ticket]) -> None:
        with self._lock:
            tickets = [ticket for ticket in start.calls if not ticket.left]
        for ticket in tickets:
            if ticket.job is not None:
                ticket.job.begun.set()
        try:
            if len(tickets) == 1 or not _together(tickets):
                for ticket in tickets:
                    _alone(ticket)
        finally:
            with self._lock:
                self._planner.done(start)
                self._deal()
            for ticket in tickets:
                ticket.woken.set()


def _together(tickets: list[_Ticket]) -> bool:
    """Run them as one batch.

    False when that failed: the call at fault is unknown, so each is then tried alone.
    """
    batch, began = tickets[0].batch, time.monotonic()
    assert batch is not None  # calls without one have no kind, and calls without a kind run alone
    try:
        results = batch.run([ticket.batch.item for ticket in tickets if ticket.batch is not None])
    except Exception:  # noqa: BLE001 - whatever the library raises; trying each alone shows which call is at fault
        return False
    ended = time.monotonic()
    for ticket, result in zip(tickets, results, strict=True):
        if ticket.job is not None:
            ticket.job.timeline.add("wait", ticket.asked, began)
            ticket.job.timeline.add(batch.name, began, ended, together=len(tickets))
        ticket.outcome.set_result(result)
    return True


def _alone(ticket: _Ticket) -> None:
    try:
        ticket.outcome.set_result(ticket.call())
    except BaseException as error:  # noqa: BLE001 - it belongs to the thread whose call it is
        ticket.outcome.set_exception(error)
