"""The gate: who may call the model when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from consumer.engine.gate import SlotGate
from consumer.engine.transcriber import Job, JobOptions
from consumer.errors import JobStopped

OPTIONS = JobOptions("ru", "ru", None, "transcribe", 5, (0.0,), vad=True, word_timestamps=False, condition_on_previous_text=False,
                     initial_prompt=None, hotwords=None)  # fmt: skip
PATIENCE = 10.0


def job() -> Job:
    """A job whose audio nobody hears."""
    return Job(np.zeros(0, np.float32), OPTIONS)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads of messages."""
    with ThreadPoolExecutor(8) as executor:
        yield executor


class Held:
    """A model call that lasts until it is released."""

    def __init__(self) -> None:
        """Not begun."""
        self.begun = threading.Event()
        self.release = threading.Event()

    def __call__(self) -> str:
        """Last."""
        self.begun.set()
        assert self.release.wait(PATIENCE)
        return "done"


def wait_until_waiting(gate: SlotGate, number: int) -> None:
    """Return when so many calls wait; the counts are plain reads, so looking again is all one can do."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.002)):
        if gate.waiting == number:
            return
        pause.wait(0.002)
    pytest.fail(f"never {number} waiting: {gate!r}")


def test_no_more_calls_run_than_there_are_slots(pool: ThreadPoolExecutor) -> None:
    """Two slots, three calls: the third begins when one of the first ends, and the counts say so."""
    gate, held = SlotGate(2), [Held(), Held(), Held()]
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
    """Nobody starves: the slot is handed on, not thrown up for grabs."""
    gate, first, order = SlotGate(1), Held(), list[int]()
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
    gate = SlotGate(1)
    with pytest.raises(ZeroDivisionError):
        gate.run(lambda: 1 / 0)
    assert (gate.busy, gate.run(lambda: "next")) == (0, "next")


def test_a_stopped_job_never_reaches_the_model() -> None:
    """Deadline, cancel and drain act between two windows."""
    gate, stopped, calls = SlotGate(1), job(), list[str]()
    stopped.stop.set()
    with gate.job(stopped), pytest.raises(JobStopped):
        gate.run(lambda: calls.append("called"))
    assert calls == []


def test_a_job_that_is_stopped_while_it_waits_gives_its_turn_to_the_next(pool: ThreadPoolExecutor) -> None:
    """A cancelled note in the queue costs nobody time, and its slot is not lost."""
    gate, holder, waiting = SlotGate(1), Held(), job()

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


def test_the_job_belongs_to_its_thread_and_its_block() -> None:
    """Stopping one note never stops another."""
    gate, stopped = SlotGate(1), job()
    stopped.stop.set()
    with gate.job(stopped), ThreadPoolExecutor(1) as other:
        assert other.submit(gate.run, lambda: "another thread").result(PATIENCE) == "another thread"
    assert gate.run(lambda: "after the block") == "after the block"
