"""Settlement as a state machine: whatever order the steps come in, an ack follows a confirm, and there is one at most."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sttd.consumer.bus.seam import Incoming
from sttd.consumer.errors import StaleDelivery, Unconfirmed
from sttd.consumer.request.delivery import SettleError, Settlement, State
from sttd.schemas.request import Properties
from tests.support.fakes import FakeSettler

OUTCOMES = ("confirmed", "unconfirmed", "cancelled")


def settlement(settler: FakeSettler) -> Settlement:
    """A settlement of one delivery that goes back through `settler`."""
    incoming = Incoming(
        lane="stt.requests",
        body=b"x",
        properties=Properties(),
        settler=settler,
        received=0.0,
        received_at=datetime.now(UTC),
    )
    return Settlement(incoming)


def publish(outcome: str) -> Callable[[], Awaitable[None]]:
    """A publish that the broker confirms, does not confirm, or that is cancelled on the way."""

    async def once() -> None:
        await asyncio.sleep(0)
        if outcome == "unconfirmed":
            raise Unconfirmed("nack")
        if outcome == "cancelled":
            raise asyncio.CancelledError

    return once


class Settling(RuleBasedStateMachine):
    """Calls the steps of a settlement in any order and keeps book of what must have happened."""

    def __init__(self) -> None:
        """One delivery, nothing confirmed; `gone`: its channel is closed."""
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self.settler = FakeSettler()
        self.settlement = settlement(self.settler)
        self.confirmed = False

    def teardown(self) -> None:
        """Close the loop of this run."""
        self._loop.close()

    def _try(self, step: Any) -> bool:
        try:
            self._loop.run_until_complete(step)
        except (SettleError, Unconfirmed, asyncio.CancelledError):
            return False
        return True

    @rule(outcome=st.sampled_from(OUTCOMES))
    def replace(self, outcome: str) -> None:
        """Publish what replaces the message."""
        if self._try(self.settlement.replace(publish(outcome))):
            assert outcome == "confirmed"
            self.confirmed = True

    @rule()
    def ack(self) -> None:
        """Ack."""
        if self._try(self.settlement.ack()):
            assert self.confirmed

    @rule()
    def reject(self) -> None:
        """Fall back to the broker's dead-lettering."""
        if self._try(self.settlement.reject()):
            assert not self.confirmed

    @rule()
    def abandon(self) -> None:
        """Leave it to the broker."""
        before = self.settlement.state
        self.settlement.abandon()
        assert self.settlement.state is (State.ABANDONED if before is State.OPEN else before)

    @invariant()
    def settled_once_at_most(self) -> None:
        """A second ack or reject closes the channel with 406 and requeues every other note in hand (reliability row 16)."""
        assert len(self.settler.calls) <= 1

    @invariant()
    def acked_only_after_a_confirm(self) -> None:
        """Promise 2."""
        assert "ack" not in self.settler.calls or self.confirmed

    @invariant()
    def abandoned_is_untouched(self) -> None:
        """What is left to the broker was neither acked nor rejected, or it would not come again."""
        assert self.settlement.state is not State.ABANDONED or not self.settler.calls


Settling.TestCase.settings = settings(max_examples=150, stateful_step_count=12, deadline=None)
TestAnyOrderOfSteps = Settling.TestCase


async def test_two_replacements_at_once_are_refused() -> None:
    """The second one would publish the same answer again while the first is still on its way."""
    release = asyncio.Event()
    held = settlement(FakeSettler())
    first = asyncio.create_task(held.replace(lambda: _wait(release)))
    await asyncio.sleep(0)

    with pytest.raises(SettleError):
        await held.replace(publish("confirmed"))

    release.set()
    await first
    assert held.state is State.REPLACED


async def _wait(release: asyncio.Event) -> None:
    await release.wait()


@pytest.mark.parametrize("how", ["ack", "reject"])
async def test_settling_on_a_dead_channel_leaves_the_message_to_the_broker(how: str) -> None:
    """The ack is lost, so the broker delivers again; counting it as settled would be a lie in the drain's report."""
    settler = FakeSettler(fails_with=StaleDelivery("gone"))
    held = settlement(settler)
    if how == "ack":
        await held.replace(publish("confirmed"))

    with pytest.raises(StaleDelivery):
        await getattr(held, how)()

    assert held.state is State.ABANDONED
    assert settler.calls == [how]
    assert "abandoned" in repr(held)
