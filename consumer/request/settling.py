"""The end of every request: publish what replaces it, wait for the broker's confirm, then ack. No other code acks.

Imports delivery, verdict, copies and the bus seam. The whole of it is shielded from one cancellation (shield.py).
"""

from __future__ import annotations

import asyncio
import itertools
import time

import structlog

from sttd.consumer.bus.seam import Outgoing, Publisher
from sttd.consumer.errors import PublishForbidden, StaleDelivery, Unconfirmed, Unroutable
from sttd.consumer.failpoints import FailPoints
from sttd.consumer.request import copies, verdict
from sttd.consumer.request.delivery import Delivery
from sttd.consumer.request.shield import finished_even_if_cancelled
from sttd.consumer.request.verdict import Verdict
from sttd.consumer.side_port.metrics import Metrics
from sttd.schemas.codes import DeadReason
from sttd.schemas.reply import Failure, Transcript

REPLY_PATIENCE = 60.0  # s a finished reply is published again and again before the request is retried instead
DIRECT_TRIES = 3  # a try may fail with a connection that broke for another reason, such as the forged address before it
BACKOFF_FIRST = 0.2  # s
BACKOFF_CAP = 5.0  # s

log = structlog.get_logger(__name__)


class Settling:
    """Carries out verdicts."""

    def __init__(self, publisher: Publisher, metrics: Metrics, failpoints: FailPoints) -> None:
        """Receive the collaborators."""
        self._publisher = publisher
        self._metrics = metrics
        self._failpoints = failpoints

    async def settle(self, delivery: Delivery, judged: Verdict) -> Verdict:
        """Replace, then ack. The verdict may turn out worse on the way (an unreachable target): what was done is returned."""
        return await finished_even_if_cancelled(self._settle(delivery, judged), name="settle")

    async def _settle(self, delivery: Delivery, judged: Verdict) -> Verdict:
        self._failpoints.reached("before_reply", delivery.message_id)
        started = time.monotonic()
        done = judged

        async def replace() -> None:
            nonlocal done
            done = await self._replace(delivery, judged)

        try:
            await delivery.settlement.replace(replace)
        except (Unroutable, PublishForbidden) as error:
            log.error(
                "no copy could be published; the broker dead-letters the request itself",
                action="rejected",
                reason=error.message,
            )
            await delivery.settlement.reject()
            return Verdict("dead_lettered", judged.code, dead_reason=DeadReason.UNPUBLISHABLE)
        self._failpoints.reached("after_confirm", delivery.message_id)
        confirmed = time.monotonic()
        delivery.timeline.add("reply", started, confirmed)
        self._metrics.observe_stage("reply", confirmed - started)
        await delivery.settlement.ack()
        self._failpoints.reached("after_ack", delivery.message_id)
        return done

    async def _replace(self, delivery: Delivery, judged: Verdict) -> Verdict:
        done = judged
        if judged.answer is not None:
            done = await self._answer(delivery, judged, judged.answer)
        if done.copy is None:
            return done
        try:
            await self._insist(delivery, done.copy)
        except (Unroutable, PublishForbidden):
            if done.outcome != "retried":
                raise
            log.error(
                "a retry queue cannot be reached; the caller is told that there is no other try",
                action="no_retry",
                code=done.code,
            )
            return await self._replace(delivery, verdict.exhausted(delivery, done.code))
        return done

    async def _answer(self, delivery: Delivery, judged: Verdict, body: Transcript | Failure) -> Verdict:
        answer = copies.reply(delivery, body)
        try:
            await self._insist(
                delivery, answer, patience=REPLY_PATIENCE, tries=DIRECT_TRIES if delivery.direct_reply else None
            )
        except Unroutable:
            # Its queue is gone: the finished answer is kept where an operator, or the caller himself, can find it.
            await self._park(delivery, answer)
        except PublishForbidden:
            return verdict.bad_reply_to(delivery)
        except Unconfirmed:
            if not delivery.direct_reply:
                return verdict.unconfirmed(delivery)
            await self._park(delivery, answer)  # forged, or gone with its connection: no later try could reach it
        return judged

    async def _park(self, delivery: Delivery, answer: Outgoing) -> None:
        await self._insist(delivery, copies.parked(answer, delivery))
        self._metrics.reply_parked()

    async def _insist(
        self, delivery: Delivery, message: Outgoing, patience: float = float("inf"), tries: int | None = None
    ) -> None:
        """Publish until the broker confirms.

        Gives up after `patience` seconds, after `tries`, or when the message will come again anyway.
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
            if await _happened(delivery.orphaned, within=pause):
                raise StaleDelivery("the delivery's connection is gone; the broker delivers it again")
            pause = min(BACKOFF_CAP, pause * 2)


async def _happened(event: asyncio.Event, *, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True
