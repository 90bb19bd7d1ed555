"""What the intake does where a lane is denied to it, and how much it takes. The rest is in the bus contract."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelAccessRefused
from pydantic import SecretStr
from structlog.testing import capture_logs

from sttd.consumer.bus import topology
from sttd.consumer.bus.intake import AmqpIntake
from sttd.consumer.bus.lane_consumer import LaneConsumer
from sttd.consumer.bus.link import Link, Loss
from sttd.schemas import names
from tests.support.fakes import Watcher

pytestmark = pytest.mark.virtual_time

OVERFLOW = "stt.requests.overflow"


class Queue:
    """A queue and its channel; the broker lets its consumer in, or refuses."""

    def __init__(self, name: str, refusal: BaseException | None = None) -> None:
        """`refusal`: what `consume` raises. Nobody consumes yet."""
        self.name = name
        self.refusal = refusal
        self.consumers: dict[str, int] = {}
        self._prefetch = 0

    async def set_qos(self, prefetch_count: int) -> None:
        """Hold for the next consumer, as RabbitMQ means it."""
        self._prefetch = prefetch_count

    async def consume(self, _deliver: object, consumer_tag: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.consumers[consumer_tag] = self._prefetch

    async def cancel(self, tag: str) -> None:
        """End a consumer; what it has in hand stays."""
        del self.consumers[tag]

    def message(self) -> Any:
        """What the broker brings for the newest consumer."""

        async def settle(**_: object) -> None:
            """Nobody checks."""

        return SimpleNamespace(consumer_tag=list(self.consumers)[-1], ack=settle, reject=settle)


def lane(queue: Queue) -> LaneConsumer:
    """A lane of this queue."""
    return LaneConsumer(queue.name, cast("AbstractChannel", queue), cast("AbstractQueue", queue))


async def ignored(_message: object) -> None:
    """Take a delivery."""


def intake(*queues: Queue) -> AmqpIntake:
    """An intake in a session, with one lane for each queue."""
    lanes = dict.fromkeys([queue.name for queue in queues], 1)
    link = Link("consume", SecretStr("amqp://127.0.0.1:1/"), "w", Watcher())
    made = AmqpIntake(link=link, plan=topology.build(), mode="declare", lanes=lanes)
    made._loss = Loss()
    made._lanes = [lane(queue) for queue in queues]
    return made


async def test_a_lane_that_may_not_be_read_ends_the_session_before_an_interactive_note_came() -> None:
    """Each session would raise the count of its deliveries; the broker drops a note at its twentieth."""
    first, bulk = Queue(names.REQUESTS), Queue(names.REQUESTS_BULK, ChannelAccessRefused())
    with pytest.raises(ChannelAccessRefused):
        await intake(first, bulk)._consume()
    assert first.consumers == {}


@pytest.mark.parametrize("refusal", [ChannelAccessRefused("ACCESS_REFUSED"), ChannelNotFoundEntity("NOT_FOUND")])
async def test_without_the_overflow_queue_the_rest_is_served_and_that_is_told_once(refusal: Exception) -> None:
    """An upgrade with the old users: they have no right to it, or nobody has declared it (issue 18)."""
    queues = Queue(names.REQUESTS), Queue(OVERFLOW, refusal), Queue(names.REQUESTS_BULK)
    consuming = intake(*queues)
    with capture_logs() as told:
        await consuming._consume()
        await consuming._consume()
    assert [len(queue.consumers) for queue in queues] == [1, 0, 1]
    assert (consuming.serves(OVERFLOW), consuming.serves(names.REQUESTS)) == (False, True)
    (line,) = told
    assert (line["action"], line["log_level"]) == ("served_without", "warning")
    assert "docs/operations.md" in line["event"]


async def test_how_much_fits_into_the_hand_follows_orders_and_the_breaker() -> None:
    """Whether others wait is told by a full hand: one that an operator has made smaller is full sooner."""
    link = Link(role="consume", url=SecretStr("amqp://127.0.0.1:1/"), name="w", observer=Watcher())
    lanes = {names.REQUESTS: 8, "stt.requests.bulk": 2}
    consuming = AmqpIntake(link=link, plan=topology.build(), mode="declare", lanes=lanes)
    assert consuming.hand == 8
    await consuming.resume("prefetch", most=3)
    await consuming.resume("breaker", most=1)
    assert consuming.hand == 1
    await consuming.resume("breaker")
    assert consuming.hand == 3


async def test_a_lane_that_is_registered_anew_takes_only_what_is_not_in_hand() -> None:
    """RabbitMQ counts a prefetch for each consumer: each pause would add one to what is in hand (issue 18)."""
    queue = Queue(names.REQUESTS)
    notes = lane(queue)
    await notes.fill(4, ignored)
    settlers = [notes.took(queue.message(), lambda: None) for _ in range(3)]
    await notes.leave()
    await notes.fill(4, ignored)
    assert list(queue.consumers.values()) == [1]

    for settler in settlers[:2]:
        await settler.ack()
        await notes.fill(4, ignored)
    assert list(queue.consumers.values()) == [1], "one consumer for each message that is settled"

    await settlers[2].reject()
    await notes.fill(4, ignored)
    assert list(queue.consumers.values()) == [1, 3]


async def test_a_smaller_hand_takes_nothing_until_enough_is_settled() -> None:
    """An operator who lowers the prefetch wants less in hand, not more."""
    queue = Queue(names.REQUESTS)
    notes = lane(queue)
    await notes.fill(4, ignored)
    settlers = [notes.took(queue.message(), lambda: None) for _ in range(4)]
    await notes.leave()
    for settler in settlers[:3]:
        await notes.fill(2, ignored)
        assert queue.consumers == {}
        await settler.ack()
    await notes.fill(2, ignored)
    assert list(queue.consumers.values()) == [1]


@pytest.mark.parametrize("anew", [False, True])
async def test_a_consumer_that_a_slow_broker_confirms_during_a_pause_is_cancelled(anew: bool) -> None:
    """The pause has stopped waiting for it: notes would come, also while a suspect must be alone."""

    class Slow(Queue):
        async def consume(self, deliver: object, consumer_tag: str) -> None:
            await confirmed.wait()
            await super().consume(deliver, consumer_tag)

    confirmed, queue = asyncio.Event(), Slow(names.REQUESTS)
    consuming = intake(queue)
    if anew:
        confirmed.set()
        await consuming._consume()
        confirmed.clear()
    registering = asyncio.create_task(consuming.renew() if anew else consuming._consume())
    await asyncio.sleep(0)
    await consuming.pause("operator")
    confirmed.set()
    await registering
    assert queue.consumers == {}

    await consuming.resume("operator")
    assert len(queue.consumers) == 1


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Exception("EOF")], ids=repr)
async def test_a_resume_on_a_lost_connection_ends_the_session_and_nothing_else(error: BaseException) -> None:
    """With these aiormq fails a call in flight; the watched task that resumes would end, and the daemon with it."""
    queue = Queue(names.REQUESTS)
    consuming, loss = intake(queue), Loss()
    consuming._loss = loss
    await consuming.pause("test")
    queue.refusal = error
    await consuming.resume("test")
    assert loss.happened
