"""The end of every request: publish what replaces it, wait for the broker's confirm, then ack. No other code acks.

One cancellation does not end it: an ack that is missing after a confirmed answer would give a second answer.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

import structlog

from sttd.consumer.bus.seam import Outgoing, Publisher
from sttd.consumer.errors import PublishForbidden, StaleDelivery, Unconfirmed, Unroutable
from sttd.consumer.request import copies
from sttd.consumer.request import verdict as verdicts
from sttd.consumer.request.delivery import Delivery
from sttd.consumer.request.verdict import Verdict

REPLY_PATIENCE = 60.0  # s a finished reply is published again and again before the request is retried instead
DIRECT_TRIES = 3  # a try may fail with a connection that broke for another reason, such as the forged address before it
BACKOFF_FIRST = 0.2  # s
BACKOFF_CAP = 5.0  # s

log = structlog.get_logger(__name__)


class State(StrEnum):
    """The life of one delivery. Only REPLACED may be acked; only the broker's confirm makes REPLACED."""

    OPEN = "open"
    REPLACING = "replacing"
    REPLACED = "replaced"
    SETTLED = "settled"
    ABANDONED = "abandoned"


class SettleError(Exception):
    """A step that the state does not allow: a bug of ours, never an input's fault."""


class Settlement:
    """Settles one delivery exactly once: OPEN, REPLACING, REPLACED, SETTLED; or ABANDONED to a redelivery."""

    def __init__(self, delivery: Delivery, publisher: Publisher) -> None:
        self.delivery = delivery
        self.state = State.OPEN
        self._publisher = publisher

    @property
    def untouched(self) -> bool:
        """Whether another worker can take it over without loss: no model call made, no answer on its way."""
        return self.state is State.OPEN and not self.delivery.begun.is_set()

    def abandon(self) -> None:
        """Leave the message to the broker's redelivery; without effect once it is replaced or settled."""
        if self.state is State.OPEN:
            self.state = State.ABANDONED

    async def carry_out(self, verdict: Verdict) -> Verdict:
        """Replace the message, then ack it, although the caller is cancelled once.

        A second cancellation ends it too: that is the end of the drain, and the message stays unacked.

        Returns: what was done; another verdict than the given one where a target could not be reached, or did not
        confirm an answer within 60 s. Raises:
        `StaleDelivery` when the broker will deliver the message again; `SettleError` when it was settled.
        """
        work = asyncio.create_task(self._carry_out(verdict), name="settle")
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            return await work

    async def _carry_out(self, verdict: Verdict) -> Verdict:
        try:
            with self._replacing(), self.delivery.timeline.step("reply"):
                done = await self._replace(verdict)
        except (Unroutable, PublishForbidden) as error:
            log.error(
                "no copy could be published; the broker dead-letters the request itself",
                action="rejected",
                reason=error.message,
            )
            await self._reject()
            return verdicts.unpublishable(verdict)
        await self._ack()
        return done

    def _go(self, *, to: State, only_from: State) -> None:
        if self.state is not only_from:
            raise SettleError(f"{self.state} -> {to}")
        self.state = to

    @contextmanager
    def _replacing(self) -> Iterator[None]:
        """Its block publishes what replaces the message, and ends only after the broker confirmed that."""
        self._go(to=State.REPLACING, only_from=State.OPEN)
        try:
            yield
        except BaseException:
            # No confirm, so nothing replaces the message: it stays unsettled, and the broker keeps it.
            self.state = State.OPEN
            raise
        self._go(to=State.REPLACED, only_from=State.REPLACING)

    async def _ack(self) -> None:
        await self._settle(self.delivery.incoming.settler.ack, only_from=State.REPLACED)

    async def _reject(self) -> None:
        """Hand the message to the broker's own dead-lettering: the last resort when no copy can be published."""
        await self._settle(self.delivery.incoming.settler.reject, only_from=State.OPEN)

    async def _settle(self, step: Callable[[], Awaitable[None]], *, only_from: State) -> None:
        self._go(to=State.SETTLED, only_from=only_from)
        try:
            await step()
        except StaleDelivery:
            self.state = State.ABANDONED
            raise

    async def _replace(self, verdict: Verdict) -> Verdict:
        """Publish the answer, then the copy, each until it is confirmed."""
        if verdict.answer is not None:
            verdict = await self._answer(verdict, copies.reply(self.delivery, verdict.answer))
        if verdict.copy is None:
            return verdict
        try:
            await self._insist(verdict.copy)
        except (Unroutable, PublishForbidden):
            instead = verdicts.without_copy(self.delivery, verdict)
            if instead is None:
                raise
            log.error(
                "a copy's queue is gone or refused; the request is %s instead",
                instead.outcome,
                action="no_copy",
                to=verdict.copy.exchange or verdict.copy.routing_key,
            )
            return await self._replace(instead)
        return verdict

    async def _answer(self, verdict: Verdict, answer: Outgoing) -> Verdict:
        tries = DIRECT_TRIES if self.delivery.direct_reply else None
        try:
            await self._insist(answer, patience=REPLY_PATIENCE, tries=tries)
        except (Unroutable, PublishForbidden, Unconfirmed) as error:
            verdict = verdicts.without_answer(self.delivery, verdict, error)
        if verdict.parked:
            with self.delivery.timeline.step("park"):
                await self._insist(copies.parked(answer, self.delivery))
        return verdict

    async def _insist(self, message: Outgoing, patience: float = float("inf"), tries: int | None = None) -> None:
        """Publish until the broker confirms.

        Raises: what the publisher raises, `Unconfirmed` only after `patience` seconds or `tries` tries; `StaleDelivery`
        when the request will come again anyway.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience
        pause = BACKOFF_FIRST
        for attempt in itertools.count(1):
            try:
                await self._publisher.publish(message)
            except Unconfirmed as error:
                if loop.time() + pause > give_up or attempt == tries:
                    raise
                log.warning(
                    "a publish was not confirmed; trying again",
                    action="publish_again",
                    reason=error.message,
                    to=message.routing_key,
                )
            else:
                return
            if await _happened(self.delivery.orphaned, within=pause):
                raise StaleDelivery("the delivery's connection is gone; the broker delivers it again")
            pause = min(BACKOFF_CAP, pause * 2)


async def _happened(event: asyncio.Event, *, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True
