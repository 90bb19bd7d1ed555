"""An operator's order whose connection is lost on the way: nothing stays half done."""

import asyncio
from typing import cast

import pytest

from sttd.consumer import settings
from sttd.consumer.bus.intake import AmqpIntake
from sttd.consumer.bus.seam import Publisher
from sttd.consumer.request.operator import PAUSED, PREFETCH, Operator
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.metrics import Metrics
from sttd.schemas.order import Order


class Intake:
    """An intake of a broker that answers nothing more."""

    def __init__(self) -> None:
        self.paused: set[str] = set()
        self.most: int | None = None
        self.asked = asyncio.Event()

    async def pause(self, reason: str) -> None:
        """As the real one: it holds at once, and then waits for the broker."""
        self.paused.add(reason)
        self.asked.set()
        await asyncio.Event().wait()

    async def resume(self, reason: str, most: int | None = None) -> None:
        """At once."""
        self.paused.discard(reason)
        self.most = most


async def cut_off(intake: Intake, order: Order) -> DaemonHealth:
    """What readiness says after the connection of this order was lost."""
    health, loaded = DaemonHealth(["accepting"]), settings.Settings(prefetch=4)
    health.set("accepting", ok=True)
    operator = Operator(
        intake=cast("AmqpIntake", intake),
        publisher=cast("Publisher", None),
        health=health,
        metrics=Metrics(),
        settings=loaded,
        stop=asyncio.Event(),
    )
    obeying = asyncio.create_task(operator.obey(order, "amq.rabbitmq.reply-to.x", None))
    await intake.asked.wait()
    obeying.cancel()  # as aiormq does with the tasks of a channel that is gone
    with pytest.raises(asyncio.CancelledError):
        await obeying
    return health


async def test_a_prefetch_that_was_cut_off_does_not_stop_the_intake_for_ever() -> None:
    """No one would see why: the daemon says that it is ready, and takes nothing."""
    intake = Intake()
    health = await cut_off(intake, Order(command="prefetch", prefetch=2))
    assert PREFETCH not in intake.paused
    assert intake.most == 2
    assert health.ready


async def test_a_pause_that_was_cut_off_is_shown() -> None:
    """It holds after the reconnect, too."""
    intake = Intake()
    health = await cut_off(intake, Order(command="pause"))
    assert PAUSED in intake.paused
    assert "sttd control resume" in health.summary
