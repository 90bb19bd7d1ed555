"""Whatever order the steps come in, an ack follows a confirm, and there is one at most; one cancellation waits."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sttd.consumer.bus.seam import Incoming, Outgoing, Publisher
from sttd.consumer.errors import PublishForbidden, RequestFailed, StaleDelivery, Unconfirmed
from sttd.consumer.request import verdict
from sttd.consumer.request.delivery import Delivery
from sttd.consumer.request.settlement import SettleError, Settlement, State
from sttd.schemas.codes import ErrorCode
from sttd.schemas.request import Properties
from tests.support.fakes import RULES, FakeSettler

OUTCOMES = ("confirmed", "unconfirmed", "cancelled")


class Outcomes:
    """A `Publisher` each of whose publishes ends as `outcome` gives; `published` are the confirmed ones."""

    def __init__(self, outcome: str = "confirmed") -> None:
        self.outcome = outcome
        self.published: list[Outgoing] = []

    async def publish(self, message: Outgoing) -> None:
        await asyncio.sleep(0)
        if self.outcome == "forbidden":
            raise PublishForbidden("access refused")
        if self.outcome == "unconfirmed":
            raise Unconfirmed("nack")
        if self.outcome == "cancelled":
            raise asyncio.CancelledError
        self.published.append(message)


class Held:
    """A `Publisher` that holds each publish until `release` is set; `cancelled` counts those that did not wait."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = 0

    async def publish(self, message: Outgoing) -> None:
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def settlement(settler: FakeSettler, publisher: Publisher | None = None) -> Settlement:
    """A settlement of one delivery that goes back through `settler`."""
    incoming = Incoming(
        lane="stt.requests",
        body=b"x",
        properties=Properties(message_id="m-1"),
        settler=settler,
        received=0.0,
        received_at=datetime.now(UTC),
    )
    return Settlement(Delivery(incoming, RULES), publisher or Outcomes())


def refused(held: Settlement) -> verdict.Verdict:
    """A verdict with an answer and nothing else."""
    return verdict.failed(held.delivery, RequestFailed(ErrorCode.BAD_REQUEST, "no"))


async def replace(held: Settlement, outcome: str) -> None:
    """A publish that the broker confirms, does not confirm, or that is cancelled on the way."""
    with held._replacing():
        await Outcomes(outcome).publish(Outgoing(routing_key="bot", body=b"x"))


class Steps(RuleBasedStateMachine):
    """Calls the steps of a settlement in any order and keeps book of what must have happened."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self.settler = FakeSettler()
        self.publisher = Outcomes()
        self.settlement = settlement(self.settler, self.publisher)
        self.confirmed = False

    def teardown(self) -> None:
        self._loop.close()

    def _try(self, step: Any) -> bool:
        try:
            self._loop.run_until_complete(step)
        except (SettleError, Unconfirmed, asyncio.CancelledError):
            return False
        return True

    @rule(outcome=st.sampled_from(OUTCOMES))
    def replace(self, outcome: str) -> None:
        if self._try(replace(self.settlement, outcome)):
            assert outcome == "confirmed"
            self.confirmed = True

    @rule()
    def ack(self) -> None:
        if self._try(self.settlement._ack()):
            assert self.confirmed

    @rule()
    def reject(self) -> None:
        if self._try(self.settlement._reject()):
            assert not self.confirmed

    @rule(outcome=st.sampled_from(["confirmed", "cancelled", "forbidden"]))
    def carry_out(self, outcome: str) -> None:
        self.publisher.outcome = outcome
        if self._try(self.settlement.carry_out(refused(self.settlement))):
            assert self.settler.calls == ["reject" if outcome == "forbidden" else "ack"]
        self.confirmed = self.confirmed or bool(self.publisher.published)

    @rule()
    def abandon(self) -> None:
        before = self.settlement.state
        self.settlement.abandon()
        assert self.settlement.state is (State.ABANDONED if before is State.OPEN else before)

    @invariant()
    def settled_once_at_most(self) -> None:
        """A second ack or reject closes the channel with 406 and requeues every other note in hand."""
        assert len(self.settler.calls) <= 1

    @invariant()
    def acked_only_after_a_confirm(self) -> None:
        assert "ack" not in self.settler.calls or self.confirmed

    @invariant()
    def published_once_at_most(self) -> None:
        """A settled or abandoned request is not answered again by this process."""
        assert len(self.publisher.published) <= 1

    @invariant()
    def abandoned_is_untouched(self) -> None:
        """What is left to the broker was neither acked nor rejected, or it would not come again."""
        assert self.settlement.state is not State.ABANDONED or not self.settler.calls


Steps.TestCase.settings = settings(max_examples=150, stateful_step_count=12)
TestAnyOrderOfSteps = Steps.TestCase


async def test_two_replacements_at_once_are_refused() -> None:
    """The second one would publish the same answer again while the first is still on its way."""
    publisher, held, first = await begun(settler := FakeSettler())

    with pytest.raises(SettleError):
        await held.carry_out(refused(held))
    assert held.state is State.REPLACING

    publisher.release.set()
    await first
    assert settler.calls == ["ack"]


@pytest.mark.parametrize("how", ["ack", "reject"])
async def test_settling_on_a_dead_channel_leaves_the_message_to_the_broker(how: str) -> None:
    """The ack is lost, so the broker delivers again; counting it as settled would make the drain's report wrong."""
    settler = FakeSettler(fails_with=StaleDelivery("gone"))
    held = settlement(settler, Outcomes("confirmed" if how == "ack" else "forbidden"))

    with pytest.raises(StaleDelivery):
        await held.carry_out(refused(held))

    assert held.state is State.ABANDONED
    assert settler.calls == [how]


async def begun(settler: FakeSettler) -> tuple[Held, Settlement, asyncio.Task[verdict.Verdict]]:
    """A settlement whose answer is on its way."""
    publisher = Held()
    held = settlement(settler, publisher)
    task = asyncio.create_task(held.carry_out(refused(held)))
    await publisher.entered.wait()
    return publisher, held, task


async def test_one_cancellation_comes_too_late() -> None:
    """The caller gets the result, and does not count as cancelled."""
    settler = FakeSettler()
    publisher, _, task = await begun(settler)

    task.cancel()
    await asyncio.sleep(0)
    publisher.release.set()

    assert (await task).outcome == "failed"
    assert not task.cancelled()
    assert (settler.calls, publisher.cancelled) == (["ack"], 0)


async def test_a_second_cancellation_ends_the_publish_itself() -> None:
    """Nothing goes on in the background once the drain has cancelled for the last time."""
    settler = FakeSettler()
    publisher, held, task = await begun(settler)

    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (settler.calls, publisher.cancelled, held.state) == ([], 1, State.OPEN)


async def test_an_error_after_the_cancellation_is_still_raised() -> None:
    """A stale delivery during the drain must not look like a success."""
    publisher, _, task = await begun(FakeSettler(fails_with=StaleDelivery("gone")))

    task.cancel()
    await asyncio.sleep(0)
    publisher.release.set()

    with pytest.raises(StaleDelivery):
        await task
