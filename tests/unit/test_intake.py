"""How the intake learns that the broker has no consumer of it any more. The rest is in the bus contract."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aiormq.exceptions import ChannelAccessRefused
from pydantic import SecretStr

from sttd.consumer.bus import topology
from sttd.consumer.bus.intake import WATCH_EVERY, WATCH_SECONDS, AmqpIntake
from sttd.consumer.bus.lane_consumer import LaneConsumer
from sttd.consumer.bus.link import Link, Loss
from sttd.schemas import names
from tests.support.fakes import Watcher

pytestmark = pytest.mark.virtual_time


class Looks:
    """What each look at the queues finds: the consumers of the first. The last answer stays."""

    def __init__(self, *consumers: int | None) -> None:
        """In this order."""
        self.taken = 0
        self._answers: Iterator[int | None] = iter(consumers)
        self._last: int | None = None

    async def __call__(self, _connection: AbstractConnection) -> int | None:
        """See `AmqpIntake._look`."""
        self.taken += 1
        self._last = next(self._answers, self._last)
        return self._last


def intake(nodes: int = 1) -> AmqpIntake:
    """An intake that knows so many nodes."""
    link = Link("consume", SecretStr(",".join(["amqp://127.0.0.1:1/"] * nodes)), "w", Watcher())
    return AmqpIntake(link=link, plan=topology.build(), mode="declare", lanes={names.REQUESTS: 1})


class Channel:
    """A channel and its one queue: registers consumers, refuses or hangs as the test wants."""

    def __init__(self, *, hangs: bool = False, refused: BaseException | None = None) -> None:
        """Nobody consumes."""
        self.consumers: dict[str, int] = {}
        self._prefetch = 0
        self._hangs = hangs
        self._refused = refused

    async def set_qos(self, prefetch_count: int) -> None:
        """Hold for the next consumer, as RabbitMQ means it."""
        self._prefetch = prefetch_count

    async def consume(self, _deliver: object, consumer_tag: str) -> None:
        """Register, or what was asked for instead."""
        if self._hangs:
            await asyncio.sleep(3600)
        if self._refused is not None:
            raise self._refused
        self.consumers[consumer_tag] = self._prefetch

    async def cancel(self, tag: str) -> None:
        """End a consumer; what it has in hand stays."""
        del self.consumers[tag]


def lane(channel: Channel, name: str = names.REQUESTS) -> LaneConsumer:
    """A lane on this channel."""
    return LaneConsumer(name, cast("AbstractChannel", channel), cast("AbstractQueue", channel))


async def registered(watching: AmqpIntake, *channels: Channel) -> None:
    """Let the intake consume from these."""
    watching._loss = Loss()
    watching._lanes = [lane(channel, name) for channel, name in zip(channels, watching._wanted, strict=True)]
    await watching._consume()


async def watched(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether ten minutes of these looks end the session."""
    watching, loss = intake(), Loss()
    await registered(watching, Channel())
    monkeypatch.setattr(watching, "_look", looks)
    watch = asyncio.create_task(watching._watch_consumer(cast("AbstractConnection", None), loss))
    await asyncio.sleep(600)
    watch.cancel()
    await asyncio.wait({watch})
    return loss.happened


@pytest.mark.parametrize(
    ("found", "lost"), [((1, 0, 0, 1, 0, 0, 1), False), ((1, 0, 0, 0), True), ((0, 0, None), False), ((1,), False)]
)
async def test_a_consumer_is_lost_when_several_looks_in_a_row_miss_it(
    found: tuple[int | None, ...], lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a queue's leader is elected, or takes more than 250 ms, RabbitMQ says 0 consumers (issue 13)."""
    assert await watched(Looks(*found), monkeypatch) is lost


@pytest.mark.parametrize(("nodes", "seconds"), [(1, WATCH_SECONDS), (3, WATCH_SECONDS / 2)])
async def test_a_look_without_an_answer_ends_the_watch_sooner_where_there_is_another_node(
    nodes: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that stands still keeps its connections; the heartbeats need half a minute."""
    watching = intake(nodes)

    async def silent(_connection: AbstractConnection) -> int:
        await asyncio.sleep(3600)
        return 1

    monkeypatch.setattr(watching, "_look", silent)
    with pytest.raises(TimeoutError):
        await watching._watch_consumer(cast("AbstractConnection", None), Loss())

    virtual = asyncio.get_running_loop().time()
    assert virtual == seconds


async def test_a_node_that_cannot_register_a_consumer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that is cut off from the others says for ever that it has our consumer, and delivers nothing."""
    watching, channel = intake(3), Channel()
    await registered(watching, channel)
    monkeypatch.setattr(watching, "_look", Looks(1))
    monkeypatch.setattr(channel, "_hangs", True)

    with pytest.raises(TimeoutError):
        await watching._watch_consumer(cast("AbstractConnection", None), Loss())


async def test_a_lane_that_may_not_be_read_ends_the_session_before_an_interactive_note_came() -> None:
    """Each session would raise the count of its deliveries; the broker drops a note at its twentieth."""
    watching = intake()
    watching._wanted = dict.fromkeys([names.REQUESTS, "x.overflow", names.REQUESTS_BULK], 1)
    first, refused, last = Channel(), Channel(refused=ChannelAccessRefused()), Channel()
    with pytest.raises(ChannelAccessRefused):
        await registered(watching, first, refused, last)
    assert first.consumers == {}


def message(tag: str) -> Any:
    """What the broker brings for this consumer."""

    async def settle(**_: object) -> None:
        """Nobody checks."""

    return SimpleNamespace(consumer_tag=tag, ack=settle, reject=settle)


async def test_a_lane_that_is_registered_anew_takes_only_what_is_not_in_hand() -> None:
    """RabbitMQ counts a prefetch for each consumer: each pause would add one to what is in hand (issue 18)."""
    channel = Channel()
    notes = lane(channel)
    await notes.fill(4, cast("Any", None))
    [first] = channel.consumers
    settlers = [notes.took(message(first), lambda: None) for _ in range(3)]
    await notes.leave()
    await notes.fill(4, cast("Any", None))
    assert list(channel.consumers.values()) == [1]

    for settler in settlers[:2]:
        await settler.ack()
        await notes.fill(4, cast("Any", None))
    assert list(channel.consumers.values()) == [1], "one consumer for each message that is settled"

    await settlers[2].reject()
    await notes.fill(4, cast("Any", None))
    assert list(channel.consumers.values()) == [1, 3]


async def test_a_smaller_hand_takes_nothing_until_enough_is_settled() -> None:
    """An operator who lowers the prefetch wants less in hand, not more."""
    channel = Channel()
    notes = lane(channel)
    await notes.fill(4, cast("Any", None))
    [first] = channel.consumers
    settlers = [notes.took(message(first), lambda: None) for _ in range(4)]
    await notes.leave()
    for settler in settlers[:3]:
        await notes.fill(2, cast("Any", None))
        assert channel.consumers == {}
        await settler.ack()
    await notes.fill(2, cast("Any", None))
    assert list(channel.consumers.values()) == [1]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Exception("EOF")], ids=repr)
async def test_a_resume_on_a_lost_connection_ends_the_session_and_nothing_else(error: BaseException) -> None:
    """With these aiormq fails a call in flight; the watched task that resumes would end, and the daemon with it."""
    watching, channel = intake(), Channel()
    await registered(watching, channel)
    loss = watching._loss
    await watching.pause("test")
    channel._refused = error
    await watching.resume("test")
    assert loss is not None
    assert loss.happened


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


async def test_a_daemon_that_consumes_nothing_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paused for a suspect, or leaving: the broker is right to have no consumer."""
    watching, loss, looks = intake(), Loss(), Looks(0)
    monkeypatch.setattr(watching, "_look", looks)
    await watching.pause("suspect")
    watch = asyncio.create_task(watching._watch_consumer(cast("AbstractConnection", None), loss))
    await asyncio.sleep(10 * WATCH_EVERY + 1)
    watch.cancel()
    await asyncio.wait({watch})

    assert (looks.taken, loss.happened) == (11, False)
