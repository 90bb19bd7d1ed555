"""How the intake learns that the broker has no consumer of it any more. The rest is in the bus contract."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aiormq.exceptions import ChannelAccessRefused
from pydantic import SecretStr

from sttd.consumer.bus import topology
from sttd.consumer.bus.intake import WATCH_EVERY, WATCH_SECONDS, AmqpIntake, _Lane
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


async def watched(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether ten minutes of these looks end the session."""
    watching, loss = intake(), Loss()
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

    class CutOff:
        async def consume(self, _deliver: object) -> str:
            await asyncio.sleep(3600)
            return ""

    watching = intake(3)
    monkeypatch.setattr(watching, "_look", Looks(1))
    lane = _Lane(names.REQUESTS, cast("AbstractChannel", None), cast("AbstractQueue", CutOff()), "tag")
    watching._loss, watching._lanes = Loss(), [lane]

    with pytest.raises(TimeoutError):
        await watching._watch_consumer(cast("AbstractConnection", None), Loss())


async def test_a_lane_that_may_not_be_read_ends_the_session_before_an_interactive_note_came() -> None:
    """Each session would raise the count of its deliveries; the broker drops a note at its twentieth."""
    consumed: list[str] = []

    class Open:
        def __init__(self, name: str) -> None:
            self.name = name

        async def set_qos(self, **_: int) -> None:
            """Nothing to limit."""

        async def consume(self, _deliver: object) -> str:
            if self.name.endswith("overflow"):
                raise ChannelAccessRefused
            consumed.append(self.name)
            return "tag"

    watching = intake()
    watching._loss, watching._wanted = Loss(), dict.fromkeys([names.REQUESTS, "x.overflow", names.REQUESTS_BULK], 1)
    watching._lanes = [
        _Lane(name, cast("AbstractChannel", Open(name)), cast("AbstractQueue", Open(name))) for name in watching._wanted
    ]
    with pytest.raises(ChannelAccessRefused):
        await watching._consume()
    assert consumed == []


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
