"""Who may call the model when: the seam where the scheduler goes, and its first implementation.

Imports transcriber and consumer.errors; knows no model, no audio and no event loop. Never holds a slot between two calls.

Every call to ctranslate2 passes one gate, from the thread of the message that it works for; the gate knows that message
(`with gate.job(job)`). So a scheduler that orders calls (least remaining audio first) replaces `SlotGate` here and nowhere
else. One that merges calls into batches needs to see what is called as well: `GatedModel` in model.py is the one place
that names the four operations and would hand them over.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from consumer.engine.transcriber import Job
from consumer.errors import JobStopped

T = TypeVar("T")


class Gate(Protocol):
    """Lets calls through to the model, a few at a time. Called from many threads."""

    @property
    def busy(self) -> int:
        """Calls that the model works on now."""
        ...

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        ...

    @property
    def current(self) -> Job | None:
        """The job that this thread works for, if any."""
        ...

    def run(self, call: Callable[[], T]) -> T:
        """Wait for the turn of this thread's job, then call. Raises `JobStopped` instead once `job.stop` is set."""
        ...

    def job(self, job: Job) -> AbstractContextManager[None]:
        """Say which job this thread's calls belong to."""
        ...


class SlotGate:
    """At most `slots` calls at a time, first come, first served."""

    def __init__(self, slots: int) -> None:
        """`slots`: calls at a time, at least 1."""
        self._lock = threading.Lock()
        self._free = slots
        self._slots = slots
        self._turns: deque[threading.Event] = deque()
        self._current = threading.local()

    def __repr__(self) -> str:
        """Live counts."""
        return f"SlotGate(slots={self._slots}, busy={self.busy}, waiting={self.waiting})"

    @property
    def busy(self) -> int:
        """Calls that the model works on now."""
        return self._slots - self._free

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""
        return len(self._turns)

    @property
    def current(self) -> Job | None:
        """The job that this thread works for, if any."""
        return getattr(self._current, "job", None)

    @contextmanager
    def job(self, job: Job) -> Iterator[None]:
        """Until the block ends, this thread's calls belong to `job`."""
        self._current.job = job
        try:
            yield
        finally:
            self._current.job = None

    def run(self, call: Callable[[], T]) -> T:
        """Wait for a slot, then call. Raises `JobStopped` when the job was stopped before its turn came."""
        self._refuse_if_stopped()
        self._enter()
        try:
            self._refuse_if_stopped()  # it may have been told while it waited
            return call()
        finally:
            self._leave()

    def _refuse_if_stopped(self) -> None:
        job = self.current
        if job is not None and job.stop.is_set():
            raise JobStopped("stopped between two windows")

    def _enter(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Event()
            self._turns.append(turn)
        turn.wait()

    def _leave(self) -> None:
        """Hand the slot to who waits longest: it never becomes free in between, so nobody can overtake."""
        with self._lock:
            if self._turns:
                self._turns.popleft().set()
            else:
                self._free += 1
