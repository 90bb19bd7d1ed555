"""What the intake does where a lane is denied to it, and how much it takes. The rest is in the bus contract."""

from __future__ import annotations

from typing import cast

import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelAccessRefused
from pydantic import SecretStr
from structlog.testing import capture_logs

from sttd.consumer.bus import topology
from sttd.consumer.bus.intake import AmqpIntake, _Lane
from sttd.consumer.bus.link import Link, Loss
from sttd.schemas import names
from tests.support.fakes import Watcher

pytestmark = pytest.mark.virtual_time

OVERFLOW = "stt.requests.overflow"


class Queue:
    """A queue and its channel; the broker lets its consumer in, or refuses."""

    def __init__(self, name: str, refusal: Exception | None = None) -> None:
        """`refusal`: what `consume` raises."""
        self.name = name
        self._refusal = refusal
        self.consumers = 0

    async def set_qos(self, **_: int) -> None:
        """Nothing to limit."""

    async def consume(self, _deliver: object) -> str:
        """Be its consumer."""
        if self._refusal is not None:
            raise self._refusal
        self.consumers += 1
        return "tag"


def intake(*queues: Queue) -> AmqpIntake:
    """An intake in a session, with one lane for each queue."""
    lanes = dict.fromkeys([queue.name for queue in queues], 1)
    link = Link("consume", SecretStr("amqp://127.0.0.1:1/"), "w", Watcher())
    made = AmqpIntake(link=link, plan=topology.build(), mode="declare", lanes=lanes)
    made._loss = Loss()
    made._lanes = [_Lane(queue.name, cast("AbstractChannel", queue), cast("AbstractQueue", queue)) for queue in queues]
    return made


async def test_a_lane_that_may_not_be_read_ends_the_session_before_an_interactive_note_came() -> None:
    """Each session would raise the count of its deliveries; the broker drops a note at its twentieth."""
    first, bulk = Queue(names.REQUESTS), Queue(names.REQUESTS_BULK, ChannelAccessRefused())
    with pytest.raises(ChannelAccessRefused):
        await intake(first, bulk)._consume()
    assert first.consumers == 0


@pytest.mark.parametrize("refusal", [ChannelAccessRefused("ACCESS_REFUSED"), ChannelNotFoundEntity("NOT_FOUND")])
async def test_without_the_overflow_queue_the_rest_is_served_and_that_is_told_once(refusal: Exception) -> None:
    """An upgrade with the old users: they have no right to it, or nobody has declared it (issue 18)."""
    queues = Queue(names.REQUESTS), Queue(OVERFLOW, refusal), Queue(names.REQUESTS_BULK)
    consuming = intake(*queues)
    with capture_logs() as told:
        await consuming._consume()
        await consuming._consume()
    assert [queue.consumers for queue in queues] == [1, 0, 1]
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
