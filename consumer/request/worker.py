"""The notes in hand: one task each, which goes to its end, is stopped at the next step, or is left to the broker."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

import structlog

from sttd.consumer.bus.seam import Incoming, Intake, Publisher
from sttd.consumer.errors import StaleDelivery
from sttd.consumer.request import account
from sttd.consumer.request.callers import Callers
from sttd.consumer.request.delivery import Delivery, Rules
from sttd.consumer.request.handler import Handler
from sttd.consumer.request.settlement import Settlement, State
from sttd.consumer.request.survived import Survived
from sttd.consumer.request.verdict import Verdict
from sttd.consumer.side_port.metrics import Metrics
from sttd.consumer.tracing.seam import Trace, Tracing
from sttd.schemas.reply import Transcript

LAST_WORD = 5.0  # s that a settlement may still take after the grace time
SUSPECT = "suspect"  # why the worker pauses the intake

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What became of the notes that were in hand when the drain began."""

    finished: int
    handed_back: int


class Worker:
    """Takes deliveries as they come and keeps a task for each until it is settled or left to the broker."""

    def __init__(
        self,
        *,
        handler: Handler,
        publisher: Publisher,
        intake: Intake,
        rules: Rules,
        callers: Callers,
        metrics: Metrics,
        tracing: Tracing | None = None,
    ) -> None:
        self._survived = Survived()
        self._handler = handler
        self._publisher = publisher
        self._intake = intake
        self._rules = rules
        self._callers = callers
        self._metrics = metrics
        self._tracing = tracing or Tracing()
        self._in_hand: dict[asyncio.Task[None], Settlement] = {}
        self._one_suspect = asyncio.Lock()

    def accept(self, incoming: Incoming) -> None:
        """Begin one delivery; returns at once. The prefetch bounds how many there can be."""
        delivery = Delivery(incoming, self._rules)
        if incoming.deliveries:
            delivery.forgiven = self._survived.count(delivery.reply_id)
        # At once, unlike the rest (account.py): what is in hand must be seen while it is, also where it never ends.
        self._metrics.request_received(incoming.lane)
        published = incoming.properties.timestamp
        self._metrics.delivered(incoming.lane, published.timestamp() if published else None)
        if incoming.redelivered:
            self._metrics.redeliveries.inc()
        self._callers.came(delivery)
        settlement = Settlement(delivery, self._publisher)
        task = asyncio.create_task(self._work(settlement), name=f"note {delivery.request_id}")
        self._in_hand[task] = settlement
        task.add_done_callback(self._forget)
        self._metrics.in_flight.set(len(self._in_hand))

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._callers.gone(self._in_hand.pop(task).delivery)
        self._metrics.in_flight.set(len(self._in_hand))

    async def _work(self, settlement: Settlement) -> None:
        """Bring one delivery to its end within its trace, which its copies and its answer carry on."""
        delivery, incoming = settlement.delivery, settlement.delivery.incoming
        with self._tracing.request(
            incoming.properties.headers,
            queue=incoming.lane,
            received=time.monotonic(),
            queued=delivery.queued_seconds,
            timeline=delivery.timeline,
        ) as trace:
            delivery.trace = trace.headers or delivery.trace
            with structlog.contextvars.bound_contextvars(
                trace_id=trace.trace_id,
                correlation_id=incoming.properties.correlation_id,
                message_id=delivery.message_id,
                lane=incoming.lane,
                attempt=delivery.attempt,
            ):
                await self._finish(settlement, trace)

    async def _finish(self, settlement: Settlement, trace: Trace) -> None:
        delivery = settlement.delivery
        started = time.monotonic()
        judged: Verdict | None = None
        done: Verdict | None = None
        try:
            async with self._alone() if delivery.suspected else nullcontext():
                judged = await self._handler.judge(delivery)
                done = await settlement.carry_out(judged)
        except StaleDelivery as error:
            self._survived.add(delivery.reply_id)
            _leave(settlement, error.message)
        except asyncio.CancelledError as error:
            if delivery.orphaned.is_set():
                self._survived.add(delivery.reply_id)
            _leave(settlement, "the connection to the broker is gone" if delivery.orphaned.is_set() else str(error))
            raise
        except Exception:
            # A bug in the settlement itself. Unacked, the message would hold its place in the prefetch until the
            # consumer timeout; given back, it is counted, isolated on the suspect queue, and ends as answered poison.
            log.exception("a delivery could not be settled; all in hand go back to the broker", action="settle_failed")
            _leave(settlement, "settling failed")
            self._intake.reconnect("a delivery could not be settled")
        else:
            if delivery.forgiven:
                self._survived.forget(delivery.reply_id)
            _log_done(delivery, done, time.monotonic() - started)
            trace.error = done.code if done.code != "ok" else None
            trace.attributes = {"sttd.outcome": done.outcome, "sttd.attempt": delivery.attempt}
        finally:
            account.record(self._metrics, delivery, judged=judged, done=done, seconds=time.monotonic() - started)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Have nothing else in hand: if the process dies in the block, no other request is counted with this one.

        But a second suspect, which a consumer that is registered anew may bring: each would wait for the other.
        """
        async with self._one_suspect:
            try:
                await self._intake.pause(SUSPECT)  # cancelled in here it has paused already: only `finally` resumes
                others = {task for task, other in self._in_hand.items() if not other.delivery.suspected}
                if others:
                    await asyncio.wait(others)
                yield
            finally:
                await self._intake.resume(SUSPECT)

    def orphan(self) -> None:
        """The connection is gone: every note in hand will be delivered again.

        Working on would only make duplicates.
        """
        for task, settlement in list(self._in_hand.items()):
            settlement.delivery.orphaned.set()
            task.cancel()

    async def drain(self, seconds: float) -> DrainReport:
        """Finish what has begun for up to `seconds`, then leave the rest unsettled for redelivery.

        What has not begun is left to the broker at once, for the worker that takes over. What was delivered before is
        not: the broker counts each hand-back like a death, and a few restarts would make poison of it.
        """
        in_hand = dict(self._in_hand)
        untouched = [
            task
            for task, held in in_hand.items()
            if held.untouched and not (held.delivery.incoming.redelivered or held.delivery.suspected)
        ]
        log.info(
            "notes in hand: %d are finished, for %g s at most; not begun, and back in the queue: %d",
            len(in_hand) - len(untouched),
            seconds,
            len(untouched),
            action="drain",
            grace=seconds,
            not_begun=len(untouched),
        )
        for task in untouched:
            task.cancel("the daemon stops, and this note was not begun")
        if in_hand:
            await asyncio.wait(in_hand, timeout=seconds)
        for _ in range(2):
            pending = {task for task in in_hand if not task.done()}
            for task in pending:
                task.cancel(f"the daemon stops, and did not finish this note within {seconds:g} s")
            if pending:
                await asyncio.wait(pending, timeout=LAST_WORD)
        # By their states: what was settling when the grace time ended has finished, what lost its connection has not.
        finished = sum(held.state is State.SETTLED for held in in_hand.values())
        return DrainReport(finished=finished, handed_back=len(in_hand) - finished)


def _leave(settlement: Settlement, reason: str) -> None:
    settlement.abandon()
    log.warning("a note goes back to the queue: %s", reason, action="handed_back", reason=reason)


def _log_done(delivery: Delivery, done: Verdict, seconds: float) -> None:
    log.info(
        _sentence(delivery, done, seconds),
        action="request_done",
        outcome=done.outcome,
        code=done.code,
        seconds=round(seconds, 3),
        bytes=len(delivery.incoming.body),
    )


def _sentence(delivery: Delivery, done: Verdict, seconds: float) -> str:
    if isinstance(answer := done.answer, Transcript):
        heard = "no speech" if answer.no_speech else answer.language
        return f"note of {answer.duration:.1f} s, {heard}: answered in {seconds:.1f} s"
    size = f"{len(delivery.incoming.body):,} bytes"
    if done.outcome == "retried":
        return f"note of {size}: {done.code} in attempt {delivery.attempt}, will be tried again"
    return f"note of {size}: {done.outcome.replace('_', '-')}, {done.code}, after {seconds:.1f} s"
