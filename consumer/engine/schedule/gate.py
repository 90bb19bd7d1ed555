"""Orders the calls to the model: the seam between faster-whisper's threads and the model.

Holds no slot between two calls. Every call to ctranslate2 passes one gate, from a thread that works for one message;
the gate has that message (`with gate.job(job)`). The gate is the scheduler (scheduler.py).
"""

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sttd.consumer.engine.transcriber import CallCounts, Job
from sttd.consumer.errors import JobStopped

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


class Gate(CallCounts, Protocol):
    """Lets calls through to the model, a few at a time. Called from many threads."""

    @property
    def current(self) -> Job | None:
        """The job that this thread works for, if any."""

    def run(
        self,
        call: Callable[[], T],
        *,
        begins: bool = False,
        batch: Batchable[T] | None = None,
        gathers: Hashable | None = None,
    ) -> T:
        """Wait for the turn of this thread's job, then call. Raises `JobStopped` instead once `job.stop` is set.

        `begins`: the call opens a window; those after it belong to the same one. `batch`: how it could run with others;
        a gate may ignore it. `gathers`: equal for calls that open windows and for later ones of theirs that could run
        as one batch; a gate may open such windows first. The job's `begun` is set before its first call.
        """

    def job(self, job: Job) -> AbstractContextManager[None]:
        """Set the job that this thread's calls belong to."""


class JobThreads:
    """Which job each thread works for."""

    def __init__(self) -> None:
        self._current = threading.local()

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
        """This thread's job."""
        return getattr(self._current, "job", None)


def timed(gate: Gate, name: str, call: Callable[[], T]) -> Callable[[], T]:
    """Wrap a call: the job's timeline records how long it waited and took.

    `name`: the operation, as the timeline calls it.
    """
    job = gate.current
    return call if job is None else job.timeline.call(name, call)


def refuse_if_stopped(job: Job | None) -> None:
    """Raise `JobStopped` for a stopped job."""
    if job is not None and job.stop.is_set():
        raise JobStopped("stopped between two windows")
