"""The notes in hand: one named task each, told to go on, to stop at the next step, or to be left to the broker.

Imports handler and delivery; never talks to the broker itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from sttd.consumer.bus.seam import Incoming
from sttd.consumer.errors import StaleDelivery
from sttd.consumer.request.delivery import Delivery, Rules, State
from sttd.consumer.request.handler import Handler
from sttd.consumer.request.survived import Survived
from sttd.consumer.request.verdict import Verdict
from sttd.consumer.side_port.metrics import Metrics
from sttd.consumer.tracing.seam import Trace, Tracing

LAST_WORD = 5.0  # s that a settling may still take after the grace time

log = structlog.get_logger(__name__)


async def _nothing(_quiet: bool) -> None:
    """Nobody to keep quiet."""


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What became of the notes that were in hand when the drain began."""

    finished: int
    handed_back: int


class Worker:
    """Takes deliveries as they come and keeps a task for each until it is settled or left to the broker."""

    def __init__(
        self,
        handler: Handler,
        rules: Rules,
        metrics: Metrics,
        stranded: Callable[[str], None] = lambda _reason: None,
        quiet: Callable[[bool], Awaitable[None]] = _nothing,
        tracing: Tracing | None = None,
    ) -> None:
        """Nothing in hand.

        `stranded` is told when only a new connection can bring a delivery back; `quiet(True)` returns when no more deliveries
        come, until `quiet(False)`.
        """
        self._survived = Survived()
        self._tracing = tracing or Tracing()
        self._stranded = stranded
        self._quiet = quiet
        self._handler = handler
        self._rules = rules
        self._metrics = metrics
        self._in_hand: dict[asyncio.Task[None], Delivery] = {}

    def accept(self, incoming: Incoming) -> None:
        """Begin one delivery; returns at once. The prefetch bounds how many there can be."""
        delivery = Delivery(incoming, self._rules)
        if incoming.deliveries:
            delivery.forgiven = self._survived.count(delivery.reply_id)
        self._metrics.request_received(incoming.lane)
        published = incoming.properties.timestamp
        self._metrics.delivered(incoming.lane, published.timestamp() if published else None)
        if incoming.redelivered:
            self._metrics.redelivered()
        task = asyncio.create_task(self._work(delivery), name=f"note {delivery.request_id}")
        self._in_hand[task] = delivery
        task.add_done_callback(self._forget)
        self._metrics.set_in_flight(len(self._in_hand))

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._in_hand.pop(task, None)
        self._metrics.set_in_flight(len(self._in_hand))

    async def _work(self, delivery: Delivery) -> None:
        """Handle one delivery within its trace, which its copies and its answer carry on."""
        with self._tracing.request(
            delivery.incoming.properties.headers,
            queue=delivery.incoming.lane,
            received=time.monotonic(),
            queued=delivery.queued_seconds,
            timeline=delivery.timeline,
        ) as trace:
            delivery.trace = trace.headers or delivery.trace
            with structlog.contextvars.bound_contextvars(trace_id=trace.trace_id):
                await self._handle(delivery, trace)

    async def _handle(self, delivery: Delivery, trace: Trace) -> None:
        incoming = delivery.incoming
        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(
            correlation_id=incoming.properties.correlation_id,
            message_id=delivery.message_id,
            lane=incoming.lane,
            attempt=delivery.attempt,
        ):
            try:
                verdict = await (self._alone(delivery) if delivery.suspected else self._handler.handle(delivery))
            except StaleDelivery as error:
                delivery.settlement.abandon()
                self._survived.add(delivery.reply_id)
                self._hand_back(error.message)
            except asyncio.CancelledError:
                delivery.settlement.abandon()
                if delivery.orphaned.is_set():
                    self._survived.add(delivery.reply_id)
                self._hand_back("stopped")
                raise
            except Exception:
                # A bug in the settling itself. Unacked, the message would hold its place in the prefetch until the broker's consumer
                # timeout; given back, it is counted, isolated on the suspect queue, and ends as poison with an answer.
                delivery.settlement.abandon()
                log.exception(
                    "a delivery could not be settled; all in hand go back to the broker", action="settle_failed"
                )
                self._hand_back("settling failed")
                self._stranded("a delivery could not be settled")
            else:
                if delivery.forgiven:
                    self._survived.forget(delivery.reply_id)
                self._tell(delivery, verdict, time.monotonic() - started)
                trace.error = verdict.code if verdict.code != "ok" else None
                trace.attributes = {"sttd.outcome": verdict.outcome, "sttd.attempt": delivery.attempt}

    async def _alone(self, delivery: Delivery) -> Verdict:
        """Handle a suspect with nothing else in hand: if the process dies now, it is this one's doing, and costs no neighbour."""
        try:
            await self._quiet(True)  # cancelled in here it has quieted already: only `finally` wakes the intake again
            others = {task for task, other in self._in_hand.items() if other is not delivery}
            if others:
                await asyncio.wait(others)
            return await self._handler.handle(delivery)
        finally:
            await self._quiet(False)

    def _hand_back(self, reason: str) -> None:
        self._metrics.request_finished("handed_back", "ok")
        log.warning("left to the broker, which delivers it again", action="handed_back", reason=reason)

    def _tell(self, delivery: Delivery, verdict: Verdict, seconds: float) -> None:
        size = len(delivery.incoming.body)
        if verdict.answer is not None:
            self._metrics.answered(delivery.lane, (datetime.now(UTC) - delivery.answer_began).total_seconds())
        self._metrics.request_finished(verdict.outcome, verdict.code)
        self._metrics.observe_stage("total", seconds)
        if verdict.outcome == "retried":
            self._metrics.retried(verdict.code)
        if verdict.dead_reason is not None:
            self._metrics.dead_lettered(str(verdict.dead_reason))
        log.info(
            "request %s",
            verdict.outcome,
            action="request_done",
            code=verdict.code,
            seconds=round(seconds, 3),
            bytes=size,
        )

    def orphan(self) -> None:
        """The connection is gone: every note in hand will be delivered again, so working on would only make duplicates."""
        for task, delivery in list(self._in_hand.items()):
            delivery.orphaned.set()
            task.cancel()

    async def drain(self, seconds: float) -> DrainReport:
        """Finish what has begun for up to `seconds`, then leave the rest unsettled for redelivery.

        What has not begun is left to the broker at once: waiting here, it would only come later to the worker that takes over. Not so
        what was delivered before: the broker counts each hand-back like a death, and a few restarts would make poison of it.
        """
        in_hand = dict(self._in_hand)
        untouched = [
            task
            for task, delivery in in_hand.items()
            if delivery.untouched and not (delivery.again or delivery.suspected)
        ]
        log.info(
            "finishing %d notes in hand",
            len(in_hand) - len(untouched),
            action="drain",
            grace=seconds,
            not_begun=len(untouched),
        )
        for task in untouched:
            task.cancel("drain: not begun")
        if in_hand:
            await asyncio.wait(in_hand, timeout=seconds)
        for last_word in (False, True):
            pending = {task for task in in_hand if not task.done()}
            for task in pending:
                task.cancel("drain: last word" if last_word else "drain: the grace time is over")
            if pending:
                await asyncio.wait(pending, timeout=LAST_WORD)
        # Told by the settlements: what was settling when the grace time ended has finished, what lost its connection has not.
        finished = sum(delivery.settlement.state is State.SETTLED for delivery in in_hand.values())
        return DrainReport(finished=finished, handed_back=len(in_hand) - finished)

    def __repr__(self) -> str:
        """Show how many notes are in hand."""
        return f"<Worker [{len(self._in_hand)} in hand]>"
