"""One contract, two buses: the memory bus of the unit tests behaves as the real one on a real RabbitMQ."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from sttd.consumer.bus.link import Link
from sttd.consumer.bus.publisher import AmqpPublisher
from sttd.consumer.bus.seam import Outgoing
from sttd.consumer.errors import StaleDelivery, Unconfirmed, Unroutable
from sttd.schemas import names
from tests.support.broker import Broker, wait_until
from tests.support.buses import CONFIRM_SECONDS, PREFETCH, Bus, arrives, memory_bus, real_bus
from tests.support.fakes import Watcher
from tests.support.waiting import PATIENCE


@pytest.fixture(params=["memory", "amqp"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """Each bus in turn."""
    if request.param == "memory":
        yield memory_bus()
        return
    async with real_bus(request.getfixturevalue("broker")) as real:
        yield real


def to(queue: str, body: bytes = b"{}", **fields: Any) -> Outgoing:
    """A message to a queue."""
    return Outgoing(routing_key=queue, body=body, **fields)


async def settles(bus: Bus, queue: str, depth: int) -> None:
    """Wait until a queue comes to a depth: an ack is never confirmed, so its effect takes a moment."""

    async def there() -> bool:
        return await bus.depth(queue) == depth

    await wait_until(there)


async def test_a_confirmed_publish_is_in_the_queue(bus: Bus) -> None:
    """That is what a confirm means; everything rests on it."""
    await bus.publisher.publish(to(names.REPLIES, b"answer"))

    assert await bus.take(names.REPLIES) == [b"answer"]


async def test_what_no_queue_takes_is_unroutable(bus: Bus) -> None:
    """Returned by the broker, and raised here: never a silent success."""
    with pytest.raises(Unroutable):
        await bus.publisher.publish(to("gone"))
    await bus.publisher.publish(to("gone", mandatory=False))


async def test_a_full_queue_is_unconfirmed(bus: Bus) -> None:
    """Nacked: the message is not there, and may be later."""
    await bus.fill("full")

    with pytest.raises(Unconfirmed):
        await bus.publisher.publish(to("full"))

    assert await bus.take("full") == [b"first"]
    await bus.publisher.publish(to("full", b"second"))


async def test_a_request_arrives_as_it_was_sent(bus: Bus) -> None:
    """All that the contract reads."""
    sent = to(
        names.REQUESTS,
        b"audio",
        correlation_id="1",
        message_id="m-1",
        reply_to="bot",
        content_type="audio/ogg",
        headers={"stt-vad": True},
    )
    before = asyncio.get_running_loop().time()
    await bus.publisher.publish(sent)

    found = await arrives(bus)

    read = found.properties
    assert (found.lane, found.body, found.redelivered, found.deliveries, found.malformed) == (
        names.REQUESTS,
        b"audio",
        False,
        0,
        None,
    )
    assert (read.correlation_id, read.message_id, read.reply_to, read.content_type) == ("1", "m-1", "bot", "audio/ogg")
    assert read.headers["stt-vad"] is True
    now = asyncio.get_running_loop().time()
    assert before <= found.received <= now


async def test_an_acked_request_does_not_come_again(bus: Bus) -> None:
    """Not after the connection went, either.

    An ack is not confirmed, but it makes room for one more, whose arrival proves it.
    """
    for number in range(PREFETCH + 1):
        await bus.publisher.publish(to(names.REQUESTS, b"%d" % number))
    acked, *held = [await arrives(bus) for _ in range(PREFETCH)]
    await acked.settler.ack()
    held.append(await arrives(bus))

    await bus.lose_connections()

    assert {(await arrives(bus)).body for _ in held} == {incoming.body for incoming in held}
    assert await bus.depth(names.REQUESTS) == 0
    assert bus.incoming.empty()


async def test_the_prefetch_bounds_what_is_in_hand(bus: Bus) -> None:
    """Else a daemon would hold a whole queue in memory."""
    for _ in range(PREFETCH + 2):
        await bus.publisher.publish(to(names.REQUESTS))
    held = [await arrives(bus) for _ in range(PREFETCH)]
    assert await bus.depth(names.REQUESTS) == 2
    assert bus.incoming.empty()

    await held[0].settler.ack()

    await arrives(bus)


async def test_an_unsettled_request_comes_again_with_a_higher_count(bus: Bus) -> None:
    """Nothing is lost after a lost connection; the count is how poison is recognized."""
    await bus.publisher.publish(to(names.REQUESTS, b"audio"))
    first = await arrives(bus)

    await bus.lose_connections()

    again = await arrives(bus)
    assert (again.body, again.redelivered, again.deliveries) == (b"audio", True, first.deliveries + 1)
    assert bus.orphaned == 1


@pytest.mark.parametrize("how", ["ack", "reject"])
async def test_settling_on_a_dead_channel_raises(how: str, bus: Bus) -> None:
    """And is never tried on the new one, which would close with 406."""
    await bus.publisher.publish(to(names.REQUESTS))
    stale = await arrives(bus)
    await bus.lose_connections()
    fresh = await arrives(bus)

    with pytest.raises(StaleDelivery):
        await getattr(stale.settler, how)()

    await fresh.settler.ack()
    await settles(bus, names.REQUESTS, 0)
    assert bus.orphaned == 1


async def test_a_rejected_request_is_dead_lettered(bus: Bus) -> None:
    """Into `stt.dead`, never back into the queue."""
    await bus.publisher.publish(to(names.REQUESTS, b"audio"))

    await (await arrives(bus)).settler.reject()

    await settles(bus, names.DEAD, 1)
    assert await bus.take(names.DEAD) == [b"audio"]
    assert bus.incoming.empty()


async def test_a_publish_waits_for_the_connection_and_then_succeeds(bus: Bus) -> None:
    """A reconnect of a second must not cost a finished answer."""
    await bus.down()
    waiting = asyncio.create_task(bus.publisher.publish(to(names.REPLIES, b"answer")))
    for _ in range(20):  # as far as it gets
        await asyncio.sleep(0)
    assert not waiting.done()

    await bus.up()
    await waiting

    assert await bus.take(names.REPLIES) == [b"answer"]


async def test_a_publish_without_a_connection_ends_in_time(bus: Bus) -> None:
    """Unknown, and raised: the library alone would wait for ever."""
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Unconfirmed):
            await bus.hasty().publish(to(names.REPLIES))


async def test_two_publishes_under_one_message_id_are_told_apart(bus: Bus) -> None:
    """Callers choose the ids of copies, and aiormq finds the publish of a return by its id."""
    for number in range(100):
        lost = bus.publisher.publish(to("gone", message_id="m-1"))
        kept = bus.publisher.publish(to(names.REPLIES, b"%d" % number, message_id="m-1"))
        first, second = await asyncio.gather(lost, kept, return_exceptions=True)
        assert isinstance(first, Unroutable)
        assert second is None

    assert await bus.take(names.REPLIES) == [b"%d" % number for number in range(100)]


@pytest.mark.parametrize("mandatory", [True, False])
async def test_a_direct_reply_arrives_once_and_is_not_returned(bus: Bus, mandatory: bool) -> None:
    """RabbitMQ 3.10 and 4.0 return a mandatory one although the caller has it."""
    caller = await bus.caller()

    await bus.publisher.publish(to(caller.address, b"answer", mandatory=mandatory))

    assert await caller.received() == b"answer"


async def test_an_answer_to_a_requester_who_has_gone_is_not_taken_for_delivered(bus: Bus) -> None:
    """Every version of RabbitMQ confirms it; progress may be lost, an answer may not."""
    caller, other = await bus.caller(), await bus.caller()
    caller.leave()

    with pytest.raises(Unroutable):
        await bus.publisher.publish(to(caller.address, b"answer"))
    await bus.publisher.publish(to(caller.address, b"progress", mandatory=False))

    await bus.publisher.publish(to(other.address, b"for another"))
    assert await other.received() == b"for another"


async def test_a_deleted_queue_is_consumed_again(bus: Bus) -> None:
    """The broker cancels the consumer while the connection looks healthy."""
    await bus.delete(names.REQUESTS)

    await bus.publisher.publish(to(names.REQUESTS, b"audio"))

    assert (await arrives(bus)).body == b"audio"


async def test_both_connections_come_back_and_work_goes_on(bus: Bus) -> None:
    """Again and again."""
    for round_ in range(2):
        await bus.lose_connections()
        await bus.publisher.publish(to(names.REQUESTS, b"%d" % round_))
        found = await arrives(bus)
        assert found.body == b"%d" % round_
        await found.settler.ack()


@pytest.mark.parametrize("confirmed", [0, 1, 10, 40])
@pytest.mark.parametrize("ending", ["channel", "link"])
async def test_publishes_in_flight_when_the_connection_goes_end_known_or_unknown(
    ending: str, confirmed: int, broker: Broker
) -> None:
    """Confirmed, or `Unconfirmed`; never a cancellation out of the library, which would strand an unacked request."""
    async with real_bus(broker) as bus:
        publishes = [asyncio.create_task(bus.publisher.publish(to(names.REPLIES, b"x" * 100_000))) for _ in range(50)]
        for some in itertools.islice(asyncio.as_completed(publishes), confirmed):
            await some
        channel = bus.amqp_publisher._channel
        assert channel is not None
        await (channel.close() if ending == "channel" else bus.down())
        if ending == "link":
            await bus.up()

        outcomes = await asyncio.gather(*publishes, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} <= {type(None), Unconfirmed}


async def test_after_stop_consuming_nothing_new_comes_in_even_after_a_reconnect(broker: Broker) -> None:
    """A drain that loses its connection must not begin with new work."""
    async with real_bus(broker) as bus:
        await bus.publisher.publish(to(names.REQUESTS, b"in hand"))
        held = await arrives(bus)
        await bus.intake.stop_consuming()
        await bus.publisher.publish(to(names.REQUESTS, b"for others"))
        await held.settler.ack()
        await broker.wait_until(lambda: broker.depth(names.REQUESTS) == 1)

        await bus.lose_connections()

        assert broker.consumers(names.REQUESTS) == 0
        assert (broker.depth(names.REQUESTS), bus.incoming.empty()) == (1, True)
        assert broker.take(names.REQUESTS)[0].redelivered is False


async def test_resuming_twice_at_once_registers_one_consumer(broker: Broker) -> None:
    """A new session and the end of a pause may come together.

    Two consumers double the prefetch, and one cannot be cancelled.
    """
    async with real_bus(broker) as bus:
        await bus.intake.pause("test")
        assert broker.consumers(names.REQUESTS) == 0

        await asyncio.gather(*(bus.intake.resume("test") for _ in range(5)))

        assert broker.consumers(names.REQUESTS) == 1
        await bus.intake.pause("test")
        assert broker.consumers(names.REQUESTS) == 0


async def test_a_pause_adds_nothing_to_what_is_in_hand(broker: Broker) -> None:
    """The broker counts a prefetch for each consumer, and forgets what a cancelled one has in hand (issue 18)."""
    async with real_bus(broker) as bus:
        for number in range(2 * PREFETCH):
            broker.publish(names.REQUESTS, str(number).encode())
        held = [await arrives(bus) for _ in range(PREFETCH)]
        await bus.intake.pause("test")
        await bus.intake.resume("test")
        await held.pop().settler.ack()
        held.append(await arrives(bus))
        assert broker.depth(names.REQUESTS) == PREFETCH - 1

        for incoming in held:
            await incoming.settler.ack()
        for _ in range(PREFETCH - 1):
            await (await arrives(bus)).settler.ack()


async def test_a_refused_exchange_harms_nobody_else_on_the_channel(broker: Broker) -> None:
    """The broker closes the channel for it; a neighbour's answer is published again, not thrown away."""
    url = broker.add_user(
        f"{broker.user}-few", "x", write="^(amq\\.default|stt\\.dlx|stt\\.requests.*|stt\\.suspect|stt\\.dead)$"
    )
    watcher = Watcher()
    async with real_bus(broker):
        publisher = AmqpPublisher(Link("publish", SecretStr(url), "few", watcher), watcher, CONFIRM_SECONDS)
        running = asyncio.create_task(publisher.run())
        await watcher.until(lambda: watcher.connects("publish") == 1)
        publishes = [publisher.publish(to(names.REPLIES, b"x" * 50_000)) for _ in range(20)]
        forbidden = publisher.publish(to(names.REQUESTS, exchange="stt.retry.10s"))
        outcomes = await asyncio.gather(*publishes[:10], forbidden, *publishes[10:], return_exceptions=True)
        running.cancel()
        await asyncio.wait({running})

    assert type(outcomes.pop(10)).__name__ == "PublishForbidden"
    assert {type(outcome) for outcome in outcomes} <= {type(None), Unconfirmed}
