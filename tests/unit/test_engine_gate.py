"""The rules of a gate, which the scheduler keeps."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.engine.transcriber import Job, JobOptions
from sttd.consumer.errors import JobStopped
from tests.support.waiting import PATIENCE, wait_for

OPTIONS = JobOptions("ru", "ru", temperature=0.0)


def job() -> Job:
    """A job whose audio is not used."""
    return Job(np.zeros(0, np.float32), OPTIONS)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads of messages."""
    with ThreadPoolExecutor(8) as executor:
        yield executor


class Held:
    """A model call that lasts until it is released."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.release = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.release.wait(PATIENCE)
        return "done"


def wait_until_waiting(gate: Scheduler, number: int) -> None:
    """Return when so many calls wait; the counts are plain reads, so looking again is all one can do."""
    wait_for(lambda: gate.waiting == number, f"{number} waiting", words=lambda: f": {gate.waiting}", poll=0.002)


def test_no_more_calls_run_than_there_are_slots(pool: ThreadPoolExecutor) -> None:
    """Two slots, three calls: the third begins when one of the first ends, and the counts show it."""
    gate, held = Scheduler(2), [Held(), Held(), Held()]
    running = [pool.submit(gate.run, call) for call in held[:2]]
    assert all(call.begun.wait(PATIENCE) for call in held[:2])
    third = pool.submit(gate.run, held[2])
    wait_until_waiting(gate, 1)
    assert (gate.busy, held[2].begun.is_set()) == (2, False)
    held[0].release.set()
    assert held[2].begun.wait(PATIENCE)
    assert (gate.busy, gate.waiting) == (2, 0)
    for call in held:
        call.release.set()
    assert [future.result(PATIENCE) for future in [*running, third]] == ["done"] * 3
    assert gate.busy == 0


def test_waiting_calls_go_first_come_first_served(pool: ThreadPoolExecutor) -> None:
    """No call starves: the slot is handed on in order."""
    gate, first, order = Scheduler(1), Held(), list[int]()
    futures: list[Future[object]] = [pool.submit(gate.run, first)]
    assert first.begun.wait(PATIENCE)
    for number in range(6):
        futures.append(pool.submit(gate.run, lambda number=number: order.append(number)))
        wait_until_waiting(gate, number + 1)
    first.release.set()
    for future in futures:
        future.result(PATIENCE)
    assert order == list(range(6))


def test_a_failing_call_gives_its_slot_back() -> None:
    """One bad note never costs a slot."""
    gate = Scheduler(1)
    with pytest.raises(ZeroDivisionError):
        gate.run(lambda: 1 / 0)
    assert (gate.busy, gate.run(lambda: "next")) == (0, "next")


def test_a_stopped_job_never_reaches_the_model() -> None:
    """Deadline, cancel and drain act between two windows."""
    gate, stopped, calls = Scheduler(1), job(), list[str]()
    stopped.stop.set()
    with gate.job(stopped), pytest.raises(JobStopped):
        gate.run(lambda: calls.append("called"))
    assert calls == []


def test_a_job_that_is_stopped_while_it_waits_gives_its_turn_to_the_next(pool: ThreadPoolExecutor) -> None:
    """A cancelled note in the queue costs no time, and its slot is not lost."""
    gate, holder, waiting = Scheduler(1), Held(), job()

    def work() -> None:
        with gate.job(waiting):
            gate.run(lambda: pytest.fail("a stopped job was run"))

    held = pool.submit(gate.run, holder)
    assert holder.begun.wait(PATIENCE)
    stopped = pool.submit(work)
    wait_until_waiting(gate, 1)
    after = pool.submit(gate.run, lambda: "next")
    wait_until_waiting(gate, 2)
    waiting.stop.set()
    holder.release.set()
    assert held.result(PATIENCE) == "done"
    assert isinstance(stopped.exception(PATIENCE), JobStopped)
    assert after.result(PATIENCE) == "next"
    assert gate.busy == 0


def test_a_job_has_begun_with_its_first_call_and_not_before(pool: ThreadPoolExecutor) -> None:
    """A drain leaves to the broker what no model call was made for."""
    gate, holder, waits = Scheduler(1), Held(), job()

    def work() -> str:
        with gate.job(waits):
            return gate.run(lambda: "its call")

    pool.submit(gate.run, holder)
    assert holder.begun.wait(PATIENCE)
    working = pool.submit(work)
    wait_until_waiting(gate, 1)
    assert not waits.begun.is_set()
    holder.release.set()
    assert (working.result(PATIENCE), waits.begun.is_set()) == ("its call", True)


def test_the_waiting_calls_of_each_lane_are_counted(pool: ThreadPoolExecutor) -> None:
    """The metric that shows a backfill waiting behind notes."""
    gate, holder, bulk = Scheduler(1), Held(), Job(np.zeros(0, np.float32), OPTIONS, lane="bulk")

    def work() -> None:
        with gate.job(bulk):
            gate.run(lambda: None)

    pool.submit(gate.run, holder)
    assert holder.begun.wait(PATIENCE)
    working = [pool.submit(work), pool.submit(gate.run, lambda: None), pool.submit(work)]
    wait_until_waiting(gate, 3)
    assert (gate.waiting_of("bulk"), gate.waiting_of("interactive")) == (2, 1)
    holder.release.set()
    for future in working:
        future.result(PATIENCE)
    assert (gate.waiting_of("bulk"), gate.waiting_of("interactive")) == (0, 0)


def test_a_job_within_a_job_ends_where_its_block_does() -> None:
    """A helping thread works for a note inside its own note's block; then it works for its own again."""
    gate, outer, inner = Scheduler(1), job(), job()
    outer.stop.set()
    with gate.job(outer):
        with gate.job(inner):
            assert gate.run(lambda: "inner") == "inner"
        with pytest.raises(JobStopped):
            gate.run(lambda: "outer")


def test_the_job_belongs_to_its_thread_and_its_block() -> None:
    """Stopping one note never stops another."""
    gate, stopped = Scheduler(1), job()
    stopped.stop.set()
    with gate.job(stopped), ThreadPoolExecutor(1) as other:
        assert other.submit(gate.run, lambda: "another thread").result(PATIENCE) == "another thread"
    assert gate.run(lambda: "after the block") == "after the block"
