"""The publisher's own part: deadlines, turns by message id, and whose fault a closed channel was.

The rest is in the bus contract.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused, ChannelClosed, ChannelNotFoundEntity, DeliveryError, PublishError
from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from pydantic import SecretStr

from sttd.consumer.bus.link import Link, Loss
from sttd.consumer.bus.publisher import AmqpPublisher
from sttd.consumer.bus.seam import Outgoing
from sttd.consumer.errors import BusError, PublishForbidden, Unconfirmed, Unroutable
from tests.support.fakes import Watcher

pytestmark = pytest.mark.virtual_time

REFUSED = "ACCESS_REFUSED - access to exchange '{}' in vhost 'v' refused for user 'u'"
MISSING = "NOT_FOUND - no exchange '{}' in vhost 'v'"


class Wire:
    """Replaces aio-pika's channel and exchange: writes the header as the library does, then a scripted answer."""

    def __init__(self, outcome: Any = None, *, silent: bool = False) -> None:
        self.outcome = outcome if outcome is not None else Basic.Ack(1)
        self.now = self.most = 0
        self.release = asyncio.Event()
        if not silent:
            self.release.set()

    async def get_exchange(self, _name: str, *, ensure: bool) -> "Wire":
        """See `AbstractChannel.get_exchange`; asking the broker each time would cost a round trip."""
        assert not ensure
        return self

    async def publish(self, message: Any, _routing_key: str, *, mandatory: bool) -> object:
        frame.marshal(ContentHeader(0, len(message.body), message.properties), 1)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.release.wait()
        finally:
            self.now -= 1
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Closable:
    """Replaces a connection and its channel, as far as they tell when they close."""

    transport = None

    def __init__(self) -> None:
        self.close_callbacks = set[Callable[[object], None]]()

    async def channel(self, **_options: bool) -> "Closable":
        return self


def publisher(wire: Wire | None, seconds: float = 5.0, nodes: int = 1) -> AmqpPublisher:
    """A publisher with this open channel, or with none."""
    watcher = Watcher()
    link = Link("publish", SecretStr(",".join(["amqp://127.0.0.1:1/"] * nodes)), "w", watcher)
    made = AmqpPublisher(link, watcher, seconds)
    if wire is not None:
        made._channel = wire  # type: ignore[assignment]  # the two methods that are used
        made._open.set()
    return made


def note(**fields: Any) -> Outgoing:
    """A message to the caller's queue."""
    return Outgoing(**({"routing_key": "bot", "body": b"{}"} | fields))


async def refused(outcome: Any, **fields: Any) -> BusError:
    """What a publish raises when the wire answers like this."""
    with pytest.raises(BusError) as error:
        await publisher(Wire(outcome)).publish(note(**fields))
    return error.value


async def test_without_a_connection_a_publish_ends_in_time() -> None:
    """The library itself would wait for ever."""
    async with asyncio.timeout(20):
        with pytest.raises(Unconfirmed, match=r"no confirm within 10 s"):
            await publisher(None, 10).publish(note())


async def test_without_a_confirm_a_publish_ends_in_time_and_leaves_nothing_behind() -> None:
    """A lost confirm is "unknown"; the next publish under this message id must not find the lock taken."""
    wire = Wire(silent=True)
    slow = publisher(wire, 10)

    with pytest.raises(Unconfirmed):
        await slow.publish(note(message_id="m-1"))
    assert (slow._turns, wire.now) == ({}, 0)

    wire.release.set()
    await slow.publish(note(message_id="m-1"))


@pytest.mark.parametrize(("nodes", "blocked", "left"), [(2, False, True), (2, True, False), (1, False, False)])
async def test_a_node_that_does_not_confirm_is_left_if_there_is_another(nodes: int, blocked: bool, left: bool) -> None:
    """Cut off from the others it would confirm nothing for as long as that lasts; an alarm holds on all nodes."""
    silent, loss = publisher(Wire(silent=True), 10, nodes), Loss()
    silent._loss, silent._blocked = loss, blocked

    with pytest.raises(Unconfirmed):
        await silent.publish(note())

    assert loss.happened is left


async def test_a_publish_that_another_connection_left_unconfirmed_ends_no_other_one() -> None:
    """Several wait when a node falls silent. The first to give up leaves it; the later ones ended each next one too."""
    silent, first, second = publisher(Wire(silent=True), 10, nodes=2), Loss(), Loss()
    silent._loss = first
    publish = asyncio.create_task(silent.publish(note()))
    await asyncio.sleep(5)
    silent._loss = second
    with pytest.raises(Unconfirmed):
        await publish

    assert (first.happened, second.happened) == (True, False)


async def test_a_connection_that_was_left_and_closes_late_does_not_hold_up_the_next_one() -> None:
    """A silent node is not waited for: its connection ends seconds later. Every publish then waited for ever."""
    resumed, left, connection = publisher(None), Closable(), Closable()
    for each in (left, connection):
        resumed._ended()
        await resumed._session(each, Loss())  # type: ignore[arg-type]  # what is used of them
    for callback in left.close_callbacks:
        callback(left)

    assert resumed._open.is_set()
    resumed._ended()


async def test_publishes_under_one_message_id_take_turns_and_others_do_not_wait() -> None:
    """Aiormq finds the publish that a return belongs to by message id; copies carry the caller's."""
    wire = Wire(silent=True)
    busy = publisher(wire)
    same = [asyncio.create_task(busy.publish(note(message_id="m-1"))) for _ in range(5)]
    other = asyncio.create_task(busy.publish(note(message_id="m-2")))
    for _ in range(20):
        await asyncio.sleep(0)

    assert wire.now == 2
    wire.release.set()
    await asyncio.gather(*same, other)
    assert (wire.most, busy._turns) == (2, {})


async def test_what_the_broker_says_becomes_one_of_three_errors() -> None:
    """The handler has three cases: no queue, not allowed, not known."""
    channel: Any = None
    back = Basic.Return(312, "NO_ROUTE", "", "bot")
    returned = DeliveredMessage(delivery=back, header=ContentHeader(), body=b"", channel=channel)
    assert isinstance(await refused(PublishError(returned, back)), Unroutable)
    assert isinstance(await refused(DeliveryError(None, Basic.Nack(1))), Unconfirmed)
    assert isinstance(await refused(Basic.Nack(1)), Unconfirmed)
    assert isinstance(await refused(ConnectionResetError("gone")), Unconfirmed)
    assert isinstance(await refused(ChannelClosed(320, "CONNECTION_FORCED")), Unconfirmed)


@pytest.mark.parametrize("error", [Exception(), asyncio.CancelledError()])
async def test_what_the_library_rejects_a_publish_with_when_it_closes_is_unconfirmed(error: BaseException) -> None:
    """A bare Exception, or a cancellation without a request, would strand an unacked request (seen with aiormq 7.2)."""
    assert isinstance(await refused(error), Unconfirmed)


@pytest.mark.parametrize(("exchange", "named"), [("", "amq.default"), ("stt.dlx", "stt.dlx")])
async def test_a_refused_exchange_is_forbidden_to_who_asked_for_it(exchange: str, named: str) -> None:
    """403: no retry changes our rights."""
    assert isinstance(
        await refused(ChannelAccessRefused(403, REFUSED.format(named)), exchange=exchange), PublishForbidden
    )
    assert isinstance(await refused(ChannelNotFoundEntity(404, MISSING.format(named)), exchange=exchange), Unroutable)


@pytest.mark.parametrize(
    "error",
    [ChannelAccessRefused(403, REFUSED.format("stt.dlx")), ChannelNotFoundEntity(404, MISSING.format("stt.dlx"))],
)
async def test_a_neighbour_whose_channel_was_closed_by_somebody_else_is_only_unconfirmed(error: Exception) -> None:
    """The broker closes the channel with all publishes on it: a finished answer must not be thrown away for it."""
    assert isinstance(await refused(error), Unconfirmed)
    assert isinstance(await refused(error, exchange="stt.retry.10s"), Unconfirmed)


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"x": 1e300}},
        {"headers": {"x": 2**70}},
        {"headers": {"x": object()}},
        {"correlation_id": "c" * 300},
        {"correlation_id": "\ud800"},
    ],
)
async def test_what_cannot_be_written_is_unroutable_and_harms_nothing(fields: dict[str, Any]) -> None:
    """Raised as anything else it would leave a request unacked for ever, and its place in the prefetch with it."""
    made = publisher(Wire())
    with pytest.raises(Unroutable, match="cannot be written"):
        await made.publish(note(**fields))

    await made.publish(note())


async def test_a_cancelled_publish_gives_its_turn_back() -> None:
    """The drain's last word cancels publishes that wait for a confirm."""
    wire = Wire(silent=True)
    made = publisher(wire)
    waiting = asyncio.create_task(made.publish(note(message_id="m-1")))
    for _ in range(10):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})

    assert waiting.cancelled()
    assert made._turns == {}
