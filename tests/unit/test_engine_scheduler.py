"""The scheduler: real threads that wait for the planner's decisions, on a clock of the test's where time matters."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from sttd.consumer.engine.schedule.scheduler import Batchable, Scheduler
from sttd.consumer.engine.transcriber import Job, JobOptions, Lane
from sttd.consumer.errors import JobStopped
from sttd.consumer.pcm import SAMPLE_RATE
from tests.support.waiting import PATIENCE, wait_for

OPTIONS = JobOptions("ru", "ru", temperature=0.0)


def job(seconds: float = 0.0, lane: Lane = "interactive") -> Job:
    """A job of so much audio."""
    return Job(np.zeros(int(seconds * SAMPLE_RATE), np.float32), OPTIONS, lane=lane)


@dataclass
class Clock:
    """Time stands still until the test moves it."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Held:
    """A model call that lasts until it is released."""

    begun: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> str:
        self.begun.set()
        assert self.release.wait(PATIENCE)
        return "held"


class Desk:
    """A scheduler, and threads to call it from."""

    def __init__(self, pool: ThreadPoolExecutor, slots: int = 1) -> None:
        self.clock = Clock()
        self.gate = Scheduler(slots, self.clock)
        self.pool = pool
        self.order: list[str] = []

    def submit(
        self, job: Job, call: Callable[[], Any], *, batch: Batchable[Any] | None = None, begins: bool = True
    ) -> Future[Any]:
        """Call from a thread of its own, and return when the call waits or runs."""
        before = self.gate.waiting + self.gate.busy

        def work() -> Any:
            with self.gate.job(job):
                return self.gate.run(call, begins=begins, batch=batch)

        future = self.pool.submit(work)
        self.until(lambda: self.gate.waiting + self.gate.busy > before or future.done())
        return future

    def occupy(self) -> Held:
        """Fill a slot until released."""
        held = Held()
        self.submit(job(), held)
        assert held.begun.wait(PATIENCE)
        return held

    def noted(self, name: str) -> Callable[[], str]:
        """A call that records when it ran."""

        def call() -> str:
            self.order.append(name)
            return name

        return call

    def until(self, true: Callable[[], bool]) -> None:
        gate = self.gate
        wait_for(true, "change", words=lambda: f": {gate.busy} busy, {gate.waiting} waiting", poll=0.002)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads of messages."""
    with ThreadPoolExecutor(12) as executor:
        yield executor


@pytest.fixture
def desk(pool: ThreadPoolExecutor) -> Desk:
    """One slot."""
    return Desk(pool)


def test_the_note_with_least_audio_left_is_next(desk: Desk) -> None:
    """Not the one that came first."""
    held = desk.occupy()
    long, note = job(600), job(3)
    ending = job(600)
    ending.heard_seconds = 599.0
    futures = [
        desk.submit(whose, desk.noted(name)) for whose, name in ((long, "long"), (note, "note"), (ending, "ending"))
    ]
    held.release.set()
    assert [future.result(PATIENCE) for future in futures] == ["long", "note", "ending"]
    assert desk.order == ["ending", "note", "long"]


def test_the_calls_of_one_window_share_its_age(desk: Desk) -> None:
    """A note whose encoder has run goes on before an equal one that came meanwhile, although its call is later."""
    first, second = job(3), job(3)
    encoded = threading.Event()

    def note() -> None:
        with desk.gate.job(first):
            desk.gate.run(desk.noted("first encode"), begins=True)
            encoded.set()
            assert held.begun.wait(PATIENCE)
            desk.gate.run(desk.noted("first generate"))

    held = Held()
    running = desk.pool.submit(note)
    assert encoded.wait(PATIENCE)
    desk.clock.now = 1.0
    occupying = desk.submit(job(), held)
    other = desk.submit(second, desk.noted("second encode"))
    desk.until(lambda: desk.gate.waiting == 2)
    held.release.set()
    for future in (running, occupying, other):
        future.result(PATIENCE)
    assert desk.order == ["first encode", "first generate", "second encode"]


def test_a_job_that_is_stopped_while_it_waits_ends_at_once(desk: Desk) -> None:
    """Not only when its turn comes: a cancelled note frees its thread while the window before it still runs."""
    held, waits = desk.occupy(), job()
    stopped = desk.submit(waits, lambda: pytest.fail("a stopped job was run"))
    waits.stop.set()
    assert isinstance(stopped.exception(PATIENCE), JobStopped)
    assert (desk.gate.busy, desk.gate.waiting) == (1, 0)
    held.release.set()


def test_a_stop_in_the_moment_of_the_turn_frees_the_slot(desk: Desk) -> None:
    """Whichever comes first, nothing hangs and no slot is lost."""
    for _ in range(50):
        held, waits = desk.occupy(), job()
        racing = desk.submit(waits, lambda: "ran")
        held.release.set()
        waits.stop.set()
        assert racing.exception(PATIENCE) is None or isinstance(racing.exception(PATIENCE), JobStopped)
        desk.until(lambda: desk.gate.busy == 0)
    assert desk.gate.run(lambda: "still open") == "still open"


def test_bulk_waits_for_the_other_lane(desk: Desk) -> None:
    """The job's lane reaches the planner."""
    held = desk.occupy()
    futures = [desk.submit(job(1, "bulk"), desk.noted("bulk")), desk.submit(job(600), desk.noted("long"))]
    held.release.set()
    for future in futures:
        future.result(PATIENCE)
    assert desk.order == ["long", "bulk"]


def test_a_hundred_threads_get_their_own_answers() -> None:
    """No result is lost or swapped under load."""
    gate = Scheduler(3)
    lock, running, most = threading.Lock(), [0], [0]

    def call(number: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        with lock:
            running[0] -= 1
        return number

    with ThreadPoolExecutor(16) as executor:
        assert list(executor.map(lambda number: gate.run(lambda: call(number)), range(400))) == list(range(400))
    assert most[0] <= 3
    assert (gate.busy, gate.waiting) == (0, 0)


class Engine:
    """Something that can be called for one item, or for several at once."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.fails: set[str] = set()
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def one(self, item: str) -> str:
        if item in self.fails:
            raise ArithmeticError(item)
        return item.upper()

    def all(self, items: Sequence[str]) -> list[str]:
        """Answer several; one bad item spoils the call, as in ctranslate2."""
        self.batches.append(list(items))
        self.entered.set()
        assert self.go_on.wait(PATIENCE)
        return [self.one(item) for item in items]

    def submit(self, desk: Desk, item: str, whose: Job | None = None) -> Future[Any]:
        """Ask from a thread of its own."""
        return desk.submit(
            whose or job(), lambda: self.one(item), batch=Batchable("generate", "engine", item, self.all)
        )


@pytest.fixture
def engine() -> Engine:
    """One that answers."""
    return Engine()


@pytest.fixture
def gpu(desk: Desk) -> Desk:
    """Batches of up to four, held for ten seconds of the test's clock, one at a time."""
    desk.gate.coalesce(1, batch=4, hold=10.0)
    return desk


def test_calls_that_wait_together_run_together_and_each_gets_its_own_result(gpu: Desk, engine: Engine) -> None:
    """One pass through the GPU for all of them."""
    held = gpu.occupy()
    asked = [engine.submit(gpu, item) for item in "abcdef"]
    held.release.set()
    assert [future.result(PATIENCE) for future in asked] == list("ABCDEF")
    assert sorted(map(len, engine.batches)) == [2, 4]
    assert (gpu.gate.busy, gpu.gate.waiting) == (0, 0)


def test_each_note_of_a_batch_is_told_its_wait_and_how_many_went_together(gpu: Desk, engine: Engine) -> None:
    """The batch-size metric and the traces are made from that."""
    held = gpu.occupy()
    jobs = [job(), job()]
    asked = [engine.submit(gpu, item, whose) for item, whose in zip("ab", jobs, strict=True)]
    held.release.set()
    assert [future.result(PATIENCE) for future in asked] == ["A", "B"]
    for one in jobs:
        wait, generate = one.timeline.steps
        assert (wait.name, generate.name, generate.together) == ("wait", "generate", 2)
        assert wait.began <= wait.ended == generate.began <= generate.ended


def test_one_bad_item_harms_nobody_else(gpu: Desk, engine: Engine) -> None:
    """The batch fails as a whole, so each is tried alone; then only the bad one fails."""
    held = gpu.occupy()
    engine.fails = {"b"}
    good, bad, other = (engine.submit(gpu, item) for item in "abc")
    held.release.set()
    assert (good.result(PATIENCE), other.result(PATIENCE)) == ("A", "C")
    assert isinstance(bad.exception(PATIENCE), ArithmeticError)
    assert gpu.gate.run(lambda: "next") == "next"


def test_without_coalescing_a_batchable_call_runs_alone(desk: Desk, engine: Engine) -> None:
    """On a CPU batches cost more than they bring."""
    held = desk.occupy()
    asked = [engine.submit(desk, item) for item in "ab"]
    held.release.set()
    assert [future.result(PATIENCE) for future in asked] == ["A", "B"]
    assert engine.batches == []


def test_a_job_that_is_stopped_while_its_batch_runs_ends_at_once_and_the_others_get_their_results(
    gpu: Desk, engine: Engine
) -> None:
    """Its place in the batch is computed without use."""
    held, stopped = gpu.occupy(), job(30)  # longer than the other: not the one whose thread computes
    engine.go_on.clear()
    stays, leaves = engine.submit(gpu, "a"), engine.submit(gpu, "b", stopped)
    held.release.set()
    assert engine.entered.wait(PATIENCE)
    stopped.stop.set()
    assert isinstance(leaves.exception(PATIENCE), JobStopped)
    assert not stays.done()
    engine.go_on.set()
    assert stays.result(PATIENCE) == "A"


def test_when_the_thread_that_would_compute_a_batch_is_stopped_another_one_does(gpu: Desk, engine: Engine) -> None:
    """Whenever the stop comes, the others of the batch are answered."""
    for _ in range(30):
        held, first = gpu.occupy(), job()
        racing, rest = engine.submit(gpu, "a", first), [engine.submit(gpu, item, job(30)) for item in "bc"]
        held.release.set()
        first.stop.set()
        assert [future.result(PATIENCE) for future in rest] == ["B", "C"]
        assert racing.exception(PATIENCE) is None or isinstance(racing.exception(PATIENCE), JobStopped)
        gpu.until(lambda: gpu.gate.busy == 0)


def test_calls_that_are_held_for_company_run_when_the_time_is_over(pool: ThreadPoolExecutor, engine: Engine) -> None:
    """With nothing else happening, one of the waiting threads wakes itself; real time here, a twentieth of a second."""
    desk = Desk(pool)
    desk.gate = Scheduler(2)
    desk.gate.coalesce(2, batch=4, hold=0.05)
    held = desk.occupy()
    asked = [engine.submit(desk, item) for item in "ab"]
    assert [future.result(PATIENCE) for future in asked] == ["A", "B"]
    assert desk.gate.busy == 1  # what kept the machine from being idle still runs
    held.release.set()


def test_a_finished_call_leaves_nothing_to_the_collector() -> None:
    """Each call holds megabytes of features and encodings.

    In a cycle, notes in hand took 170 MiB more until the next collection.
    """

    class Encoding:
        """Stands for a window's encoding."""

    scheduler = Scheduler(1)
    gc.disable()
    try:
        encoding = scheduler.run(Encoding)
        there = weakref.ref(encoding)
        del encoding
        assert there() is None
    finally:
        gc.enable()
