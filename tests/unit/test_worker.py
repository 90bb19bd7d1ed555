"""The notes in hand: one task each, what the drain reports about them, and what a lost connection does to them."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from sttd.consumer.request.settlement import State
from sttd.consumer.request.worker import LAST_WORD, DrainReport, Worker
from sttd.schemas import names
from sttd.schemas.request import Properties
from tests.support.fakes import Desk, FakeIntake, FakeTranscriber, StuckPublisher
from tests.support.memory_bus import MemoryBroker, MemoryIntake
from tests.support.virtual_time import until

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def desk() -> Desk:
    """A worker's collaborators on a broker with the daemon's topology."""
    return Desk(MemoryBroker.with_topology())


def take(desk: Desk, worker: Worker, count: int = 1, **properties: Any) -> None:
    """Send requests and put their deliveries into the worker's hands."""
    for number in range(count):
        desk.broker.send(names.REQUESTS, b"audio", Properties(message_id=f"m-{number}", **properties))
        worker.accept(desk.broker.deliver())


async def begun(worker: Worker) -> None:
    """Wait until the engine is at work on everything in hand."""
    await until(lambda: all(held.delivery.begun.is_set() for held in worker._in_hand.values()))


async def ended(worker: Worker) -> None:
    """Wait until nothing is in hand."""
    async with asyncio.timeout(3600):
        while worker._in_hand:
            await asyncio.wait(worker._in_hand)


def acks(desk: Desk) -> int:
    """How many requests were acked."""
    return desk.broker.steps.count(("ack", names.REQUESTS))


def sample(desk: Desk, name: str, **labels: str) -> float | None:
    """The value of one series."""
    return desk.metrics.registry.get_sample_value(name, labels)


async def test_what_is_in_hand_is_answered_and_then_forgotten(desk: Desk) -> None:
    """In flight goes up and down again; finished requests are counted by outcome."""
    worker = desk.worker()
    release = desk.transcriber.hold()

    take(desk, worker, 3)
    assert sample(desk, "sttd_requests_in_flight") == 3
    await begun(worker)
    release.set()
    report = await worker.drain(5)

    assert report == DrainReport(finished=3, handed_back=0)
    assert (sample(desk, "sttd_requests_in_flight"), acks(desk)) == (0, 3)
    assert sample(desk, "sttd_requests_finished_total", outcome="completed", code="ok") == 3


async def test_an_empty_drain_is_over_at_once(desk: Desk) -> None:
    """A worker with nothing to do stops without waiting for its grace time."""
    async with asyncio.timeout(0.001):
        assert await desk.worker().drain(60) == DrainReport(finished=0, handed_back=0)


async def test_what_the_grace_time_does_not_suffice_for_is_left_to_the_broker(desk: Desk) -> None:
    """Unacked, neither rejected nor requeued: it is there for the next worker, with a higher count."""
    worker = desk.worker()
    desk.transcriber.hold()
    take(desk, worker, 4)
    await begun(worker)

    report = await worker.drain(20)
    desk.broker.lose_connections()

    assert report == DrainReport(finished=0, handed_back=4)
    assert desk.broker.steps == []
    assert [stored.deliveries for stored in desk.broker.queues[names.REQUESTS].ready] == [1] * 4
    assert sample(desk, "sttd_requests_finished_total", outcome="handed_back", code="ok") == 4


async def test_what_has_not_begun_is_left_to_the_broker_at_once(desk: Desk) -> None:
    """A rolling restart does not keep notes waiting that another worker could start now; what has begun is finished."""
    worker = desk.worker()
    release = desk.transcriber.hold()
    take(desk, worker)
    await begun(worker)
    decoding = desk.decoder.hold()
    desk.broker.send(names.REQUESTS, b"audio", Properties(message_id="m-late"))
    worker.accept(desk.broker.deliver())
    await until(lambda: desk.decoder.calls == 2)

    draining = asyncio.create_task(worker.drain(60))
    await until(lambda: len(worker._in_hand) == 1)
    assert not draining.done()
    release.set()

    assert await draining == DrainReport(finished=1, handed_back=1)
    assert (desk.decoder.cancelled, desk.transcriber.cancelled, acks(desk)) == (1, 0, 1)
    assert not decoding.is_set()


async def test_what_was_delivered_before_is_finished_and_not_handed_back_again(desk: Desk) -> None:
    """Each hand-back counts at the broker like a death.

    A few restarts in a row would make a suspect, then poison, of a harmless note.
    """
    worker = desk.worker()
    decoding = desk.decoder.hold()
    desk.broker.send(names.REQUESTS, b"audio", Properties(message_id="m-again", reply_to="bot"))
    desk.broker.deliver()
    desk.broker.lose_connections()
    worker.accept(desk.broker.deliver())
    await until(lambda: desk.decoder.calls == 1)

    draining = asyncio.create_task(worker.drain(60))
    await asyncio.sleep(0)
    decoding.set()

    assert await draining == DrainReport(finished=1, handed_back=0)
    assert (desk.decoder.cancelled, acks(desk)) == (0, 1)


async def test_a_note_that_is_settling_when_the_grace_time_ends_is_finished(desk: Desk) -> None:
    """Its transcript is on its way: it counts as finished, for the report and for the broker."""
    stuck = StuckPublisher(desk.broker.publisher())
    desk.publisher = stuck
    worker = desk.worker()
    take(desk, worker)
    await stuck.entered.wait()

    draining = asyncio.create_task(worker.drain(20))
    asyncio.get_running_loop().call_later(20 + LAST_WORD / 2, stuck.release.set)

    assert await draining == DrainReport(finished=1, handed_back=0)
    assert acks(desk) == 1


async def test_a_settling_that_does_not_end_gets_the_last_word(desk: Desk) -> None:
    """A broker that never confirms must not hold up the exit; what it did not confirm stays unacked."""
    stuck = StuckPublisher(desk.broker.publisher())
    desk.publisher = stuck
    worker = desk.worker()
    take(desk, worker)
    await stuck.entered.wait()

    async with asyncio.timeout(20 + 2 * LAST_WORD):
        report = await worker.drain(20)

    assert report == DrainReport(finished=0, handed_back=1)
    assert acks(desk) == 0


async def test_a_lost_connection_stops_the_work_on_everything_in_hand(desk: Desk) -> None:
    """All of it is delivered again elsewhere: working on would only make duplicates."""
    worker = desk.worker()
    desk.transcriber.hold()
    take(desk, worker, 2)
    await desk.transcriber.entered.wait()
    tasks = list(worker._in_hand)

    worker.orphan()
    await asyncio.wait(tasks)

    assert all(task.cancelled() for task in tasks)
    assert (desk.transcriber.cancelled, desk.broker.steps) == (2, [])


async def test_after_a_lost_connection_every_note_is_answered_by_the_next_delivery(desk: Desk) -> None:
    """On the whole path of intake, worker and handler nothing is lost, nothing left, redeliveries counted."""
    worker = desk.worker()
    release = desk.transcriber.hold()
    MemoryIntake(desk.broker, {names.REQUESTS: 4}, worker.accept, worker.orphan)
    for number in range(6):
        desk.broker.send(names.REQUESTS, b"audio", Properties(message_id=f"m-{number}"))
    await desk.transcriber.entered.wait()

    desk.broker.lose_connections()
    release.set()
    await desk.broker.until(lambda: acks(desk) == 6)

    assert desk.empty(names.REQUESTS, names.DEAD)
    answered = sorted(
        stored.body.decode().split('"message_id":"')[1][:3] for stored in desk.broker.queues[names.REPLIES].ready
    )
    assert answered == [f"m-{number}" for number in range(6)]
    assert (sample(desk, "sttd_redeliveries_total") or 0) >= 1


async def test_a_bug_in_the_settling_harms_its_own_note_only(desk: Desk) -> None:
    """The note stays with the broker, the log shows it, the others go on."""

    class Broken:
        async def publish(self, message: object) -> None:
            raise KeyError("a bug")

    desk.publisher = Broken()
    worker = desk.worker()
    with capture_logs() as logs:
        take(desk, worker)
        held = next(iter(worker._in_hand.values()))
        await begun(worker)
        report = await worker.drain(5)

    assert report == DrainReport(finished=0, handed_back=1)
    assert held.state is State.ABANDONED
    assert "settle_failed" in {line["action"] for line in logs}
    assert desk.intake.calls == ["reconnect: a delivery could not be settled"]


@pytest.mark.parametrize("outcome", ["retried", "dead_lettered"])
async def test_retries_and_dead_letters_are_counted_with_their_reason(desk: Desk, outcome: str) -> None:
    """The alert on dead letters reads this counter."""
    worker = desk.worker()
    if outcome == "retried":
        desk.transcriber = FakeTranscriber(KeyError("a bug"))
        worker = desk.worker()
        take(desk, worker)
    else:
        take(desk, worker, reply_to="stt.dead")
    await ended(worker)

    assert sample(desk, "sttd_retries_total", code="internal_error") == (1 if outcome == "retried" else 0)
    assert sample(desk, "sttd_dead_letters_total", reason="bad_reply_to") == (0 if outcome == "retried" else 1)


async def test_no_log_line_about_a_note_holds_its_text(desk: Desk) -> None:
    """Ids, outcome, seconds and bytes, never the text."""
    worker = desk.worker()
    with capture_logs() as logs:
        take(desk, worker, correlation_id="c-1")
        await ended(worker)

    assert "привет" not in repr(logs)
    (line,) = [line for line in logs if line["action"] == "request_done"]
    assert (line["code"], line["bytes"]) == ("ok", 5)


async def test_a_lost_connection_is_not_held_against_what_was_in_hand(desk: Desk) -> None:
    """A flapping network must not make poison of innocent notes: losses that this process survived do not count."""
    worker = desk.worker()
    release = desk.transcriber.hold()
    desk.broker.declare("bot")
    desk.broker.send(names.REQUESTS, b"audio", Properties(message_id="m-1", reply_to="bot"))
    for _ in range(5):
        worker.accept(desk.broker.deliver())
        await begun(worker)
        worker.orphan()
        desk.broker.lose_connections()
        await ended(worker)

    last = desk.broker.deliver()
    worker.accept(last)
    release.set()
    await ended(worker)

    assert last.deliveries == 5
    assert sample(desk, "sttd_requests_finished_total", outcome="completed", code="ok") == 1
    assert not desk.broker.queues[names.SUSPECT].ready


async def test_what_another_worker_died_of_is_counted_by_this_one(desk: Desk) -> None:
    """Only losses survived here are forgiven: the message goes where it is alone in hand."""
    desk.broker.send(names.REQUESTS, b"audio", Properties(message_id="m-1", reply_to="bot"))
    for _ in range(2):
        desk.broker.deliver()
        desk.broker.lose_connections()
    worker = desk.worker()

    worker.accept(desk.broker.deliver())
    await ended(worker)

    assert len(desk.broker.queues[names.SUSPECT].ready) == 1
    assert sample(desk, "sttd_requests_finished_total", outcome="suspected", code="ok") == 1


async def test_a_suspect_is_handled_with_nothing_else_in_hand(desk: Desk) -> None:
    """If the process dies now, the suspect is the cause, and no neighbour is counted with it."""
    worker = desk.worker()
    release = desk.transcriber.hold()
    take(desk, worker, 2, reply_to="bot")
    await begun(worker)
    desk.broker.send(names.SUSPECT, b"audio", Properties(message_id="suspect", reply_to="bot"))
    worker.accept(desk.broker.deliver(names.SUSPECT))
    await desk.intake.pausing.wait()

    assert (desk.transcriber.calls, desk.intake.calls) == (2, ["pause suspect"])
    release.set()
    await ended(worker)
    assert (desk.transcriber.calls, desk.intake.calls) == (3, ["pause suspect", "resume suspect"])


async def test_two_suspects_in_hand_are_handled_one_after_the_other(desk: Desk) -> None:
    """A consumer that is registered anew may bring a second one: each would wait for the other's end, for ever."""
    worker = desk.worker()
    for name in ("one", "other"):
        desk.broker.send(names.SUSPECT, b"audio", Properties(message_id=name, reply_to="bot"))
        worker.accept(desk.broker.deliver(names.SUSPECT))
    await ended(worker)

    assert desk.transcriber.calls == 2
    assert desk.intake.calls == ["pause suspect", "resume suspect"] * 2


async def test_a_suspect_that_loses_its_connection_while_asking_for_quiet_ends_the_quiet(desk: Desk) -> None:
    """The intake has paused by then; were it not resumed, the daemon would take no note until its restart."""
    desk.intake = FakeIntake(hangs=True)
    worker = desk.worker()
    desk.broker.send(names.SUSPECT, b"audio", Properties(message_id="suspect", reply_to="bot"))
    worker.accept(desk.broker.deliver(names.SUSPECT))
    await desk.intake.pausing.wait()
    worker.orphan()
    await ended(worker)

    assert desk.intake.calls == ["pause suspect", "resume suspect"]


async def test_the_engine_is_told_which_lane_a_note_came_by(desk: Desk) -> None:
    """The scheduler gives bulk what the interactive lane leaves; a suspect keeps the lane that it came from."""
    worker = desk.worker()
    for queue in (names.REQUESTS, "stt.requests.bulk"):
        desk.broker.send(queue, b"audio", Properties(message_id=queue))
        worker.accept(desk.broker.deliver(queue))
    desk.broker.send(
        "stt.suspect", b"audio", Properties(message_id="m", headers={names.LANE_HEADER: "stt.requests.bulk"})
    )
    worker.accept(desk.broker.deliver("stt.suspect"))
    await ended(worker)

    assert sorted(job.lane for job in desk.transcriber.jobs) == ["bulk", "bulk", "interactive"]


async def test_the_log_says_of_an_answered_note_how_long_it_was_and_how_long_it_took(desk: Desk) -> None:
    """An operator reads length, language and time from one sentence."""
    worker = desk.worker()
    with capture_logs() as lines:
        take(desk, worker)
        await begun(worker)
        await worker.drain(5)

    [line] = [line for line in lines if line["action"] == "request_done"]
    assert (line["outcome"], line["code"]) == ("completed", "ok")
    assert all(f"{part}" in line["event"] for part in (" s, ru: ", "answered in"))


@pytest.mark.parametrize("lost", [True, False], ids=["the connection was lost", "the daemon stops"])
async def test_a_note_that_goes_back_says_why(desk: Desk, *, lost: bool) -> None:
    """A lost connection is not called a stop: the operator would look in the wrong place."""
    worker = desk.worker()
    desk.transcriber.hold()
    with capture_logs() as lines:
        take(desk, worker)
        await begun(worker)
        if lost:
            worker.orphan()
        await worker.drain(1)

    [reason] = [line["reason"] for line in lines if line["action"] == "handed_back"]
    assert ("connection" in reason, "stops" in reason) == (lost, not lost)
