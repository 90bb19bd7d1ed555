"""Carries out what `sttd control` asks of this daemon, and answers with its state.

Never settles a request: a pause stops the intake, a drain is what SIGTERM does.
"""

import asyncio
import logging
from contextlib import suppress

import structlog

from sttd.consumer.bus.intake import AmqpIntake
from sttd.consumer.bus.seam import Outgoing, Publisher
from sttd.consumer.errors import BusError
from sttd.consumer.settings import Settings
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.history import totals
from sttd.consumer.side_port.metrics import Metrics
from sttd.schemas.order import DaemonReport, Order

PAUSED = "operator"  # why the intake is paused
PREFETCH = "prefetch"  # why it is paused while a new prefetch is set

log = structlog.get_logger(__name__)


class Operator:
    """One daemon's side of `sttd control`."""

    def __init__(
        self,
        *,
        intake: AmqpIntake,
        publisher: Publisher,
        health: DaemonHealth,
        metrics: Metrics,
        settings: Settings,
        stop: asyncio.Event,
    ) -> None:
        """`stop`: what a signal sets."""
        self._intake = intake
        self._publisher = publisher
        self._health = health
        self._metrics = metrics
        self._worker = settings.worker
        self._most = self._prefetch = settings.effective_prefetch
        self._stop = stop

    async def obey(self, order: Order, reply_to: str, correlation_id: str | None) -> None:
        """Carry out an order for this daemon and answer it; a missing asker changes nothing."""
        if order.worker not in {None, self._worker}:
            return
        refused = await self._do(order)
        log.info("an operator's order", action="operator", command=order.command, refused=refused or None)
        report = self._report(refused)
        answer = Outgoing(reply_to, report.model_dump_json().encode(), correlation_id=correlation_id, mandatory=False)
        with suppress(BusError):
            await self._publisher.publish(answer)
        if order.command == "drain":
            self._stop.set()

    async def _do(self, order: Order) -> str:
        # The loss of the connection that brought the order cancels this: nothing may be half done then.
        if order.command == "pause":
            self._set_paused(True)
            await self._intake.pause(PAUSED)
        elif order.command == "resume":
            self._set_paused(False)
            await self._intake.resume(PAUSED)
        elif order.prefetch is not None:
            if order.prefetch > self._most:  # the memory bound was computed for this many
                return f"at most STTD_PREFETCH, here {self._most}"
            self._prefetch = order.prefetch
            try:
                await self._intake.pause(PREFETCH)
            finally:
                await self._intake.resume(PREFETCH, most=order.prefetch)
        elif order.log_level is not None:
            logging.getLogger().setLevel(order.log_level.upper())
        return ""

    def _set_paused(self, paused: bool) -> None:
        self._metrics.paused.set(paused)
        if not self._stop.is_set():
            self._health.set("accepting", not paused, "paused by an operator; `sttd control resume` ends it")

    def _report(self, refused: str) -> DaemonReport:
        return DaemonReport(
            worker=self._worker,
            state=self._health.summary,
            in_hand=totals(self._metrics).in_flight,
            prefetch=self._prefetch,
            log_level=logging.getLevelName(logging.getLogger().level).lower(),
            refused=refused,
        )
