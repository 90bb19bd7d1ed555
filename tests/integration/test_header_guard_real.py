"""Poison between good messages on a real RabbitMQ: the good ones arrive, the poison is marked, the connection lives."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from sttd.consumer.bus import header_guard, topology
from sttd.consumer.bus.intake import AmqpIntake
from sttd.consumer.bus.link import Link
from sttd.consumer.bus.seam import Incoming
from sttd.schemas import names
from tests.support.amqp_raw import CORRELATION_ID, POISON_PROPERTIES, RawConnection, RawMessage, short
from tests.support.broker import Broker
from tests.support.fakes import Watcher
from tests.support.waiting import PATIENCE

EXCHANGE = "somebodys.fanout"


class Listener:
    """An intake that acks nothing and keeps what comes."""

    def __init__(self, broker: Broker) -> None:
        self.watcher = Watcher()
        self.incoming: asyncio.Queue[Incoming] = asyncio.Queue()
        link = Link("consume", SecretStr(broker.amqp_url), "worker-1", self.watcher)
        lanes = {names.REQUESTS: 100}
        self.intake = AmqpIntake(link=link, plan=topology.build(), mode="declare", lanes=lanes)

    async def next(self) -> Incoming:
        async with asyncio.timeout(PATIENCE):
            return await self.incoming.get()


@pytest.fixture
async def listener(broker: Broker) -> AsyncIterator[Listener]:
    """A listener that is consuming, behind the guard."""
    listener = Listener(broker)
    with header_guard.installed():
        running = asyncio.create_task(listener.intake.run(listener.incoming.put_nowait, lambda: None))
        await listener.watcher.until(lambda: listener.watcher.connects("consume") == 1)
        yield listener
        assert listener.watcher.losses("consume") == []
        running.cancel()
        await asyncio.wait({running})


def good(number: int) -> RawMessage:
    """A message that any client could have sent."""
    return RawMessage(CORRELATION_ID, short(b"good-%d" % number), b"audio")


@pytest.mark.parametrize("case", POISON_PROPERTIES)
async def test_poison_arrives_marked_between_the_good_ones(case: str, listener: Listener, broker: Broker) -> None:
    """Without the guard this message takes the connection down, again and again, until its delivery limit."""
    with RawConnection(broker.amqp_url) as publisher:
        publisher.publish(b"stt.requests", good(1))
        publisher.publish(b"stt.requests", RawMessage(*POISON_PROPERTIES[case], b"poison"))
        publisher.publish(b"stt.requests", good(2))

    first, poison, second = [await listener.next() for _ in range(3)]

    assert [message.properties.correlation_id for message in (first, second)] == ["good-1", "good-2"]
    assert (first.malformed, second.malformed) == (None, None)
    assert (poison.body, poison.redelivered) == (b"poison", False)
    assert poison.malformed
    for message in (first, poison, second):
        await message.settler.ack()
    await broker.wait_until(lambda: broker.queue(names.REQUESTS)["messages"] == 0)


@pytest.mark.parametrize("routing_key", [b"\xff", b"\xff" * 255])
async def test_a_routing_key_that_is_not_utf8_is_no_trouble(
    routing_key: bytes, listener: Listener, broker: Broker
) -> None:
    """A binding of our queue chooses it; the message itself is a good one."""
    with broker.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare(EXCHANGE, "fanout")
        channel.queue_bind(names.REQUESTS, EXCHANGE)
    with RawConnection(broker.amqp_url) as publisher:
        publisher.publish(routing_key, good(1), EXCHANGE)
        publisher.publish(b"stt.requests", good(2))

    received = [await listener.next() for _ in range(2)]

    assert [message.properties.correlation_id for message in received] == ["good-1", "good-2"]
    assert [message.malformed for message in received] == [None, None]


async def test_a_forged_delivery_count_is_not_believed(listener: Listener, broker: Broker) -> None:
    """Quorum queues write none on a first delivery, so a caller's own would count as crashes of workers."""
    broker.publish(names.REQUESTS, b"audio", headers={"x-delivery-count": 99})

    message = await listener.next()

    assert (message.deliveries, message.redelivered) == (0, False)


async def test_timestamps_in_milliseconds_are_understood(listener: Listener, broker: Broker) -> None:
    """The commonest mistake of all; it works."""
    with RawConnection(broker.amqp_url) as publisher:
        publisher.publish(b"stt.requests", RawMessage(1 << 6, struct.pack(">Q", 1_764_000_000_000), b"audio"))

    message = await listener.next()

    assert message.properties.timestamp is not None
    assert message.properties.timestamp.timestamp() == 1_764_000_000
