"""The composition root: builds every part once, starts them in order, watches them, drains, closes in reverse.

The only module that constructs collaborators; only `__main__` imports it.
"""

import asyncio
import os
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import structlog

from sttd.consumer import machine, memory
from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.bus import header_guard, topology
from sttd.consumer.bus.direct import SplitPublisher
from sttd.consumer.bus.intake import AmqpIntake
from sttd.consumer.bus.link import Link
from sttd.consumer.bus.publisher import AmqpPublisher
from sttd.consumer.engine.opening import EngineOptions, open_engine
from sttd.consumer.engine.threaded import SpeechEngine
from sttd.consumer.engine.transcriber import JobDefaults
from sttd.consumer.errors import ExitCode, SettingsError, StartupError
from sttd.consumer.observe import (
    BreakerReporter,
    BusReporter,
    DownloadReporter,
    log_check,
    watch_history,
    watch_loop_lag,
)
from sttd.consumer.refs import following
from sttd.consumer.refs.references import References
from sttd.consumer.request.breaker import Breaker
from sttd.consumer.request.callers import Callers
from sttd.consumer.request.cancels import Cancels
from sttd.consumer.request.delivery import Rules
from sttd.consumer.request.handler import Handler
from sttd.consumer.request.joins import Joins
from sttd.consumer.request.operator import Operator
from sttd.consumer.request.worker import Worker
from sttd.consumer.service_manager import ServiceManager
from sttd.consumer.settings import Settings, doubts
from sttd.consumer.side_port import asgi
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.history import History
from sttd.consumer.side_port.metrics import Metrics
from sttd.consumer.side_port.server import SideServer
from sttd.consumer.tracing import choice as tracing
from sttd.consumer.watched import PartEnded, cancelled, raise_if_ended
from sttd.schemas import names
from sttd.service.signals import on_stop

ENGINE_SECONDS = 3.0  # s that threads in the middle of a window have to stop
LOADING = "the first start compares encoders (a minute or two with base), later ones take about 10 s"
CLOSE_SECONDS = 10.0  # s for closing everything after the drain; what takes longer ends with the process

log = structlog.get_logger(__name__)
T = TypeVar("T")


async def serve(settings: Settings) -> ExitCode:
    """Run the daemon until a signal or a failure ends it; return what the process should exit with."""
    for sentence in doubts(settings):
        log.warning(sentence, action="doubtful_setting")
    stop = asyncio.Event()
    with header_guard.installed(), on_stop(lambda number: _ask_to_stop(stop, number.name)):
        try:
            daemon = Daemon(settings, stop)
        except SettingsError as error:  # of what other parts read: OTEL_*, the hotwords' file
            log.error("cannot start: %s", error.message, action="startup_error", exit_code=int(error.exit_code))
            return error.exit_code
        return await daemon.live()


def _ask_to_stop(stop: asyncio.Event, signal_name: str) -> None:
    log.info("stopping (%s): no new notes are taken", signal_name, action="stop", signal=signal_name)
    stop.set()


class Daemon:
    """One process's life: start, run, drain, close."""

    def __init__(self, settings: Settings, stop: asyncio.Event) -> None:
        """Build what needs neither broker nor model; reads the hotwords' file. Raises `SettingsError`."""
        self._settings = settings
        self._stop = stop
        self._defaults = JobDefaults.from_settings(settings)
        self._parts = AsyncExitStack()
        self._watched: set[asyncio.Task[None]] = set()
        self._intake: AmqpIntake | None = None
        self._worker: Worker | None = None
        self._side_url = ""
        self._tracing = tracing.from_environment(settings.worker)
        self._metrics = Metrics(self._tracing.exemplar)
        self._history = History(self._metrics)
        self._cancels = Cancels()
        self._manager = ServiceManager.from_environment(os.environ)
        self._health = DaemonHealth(
            ("accepting", "model", "breaker", "publisher", "consumer"),
            on_change=self._on_check,
            on_news=lambda: self._manager.health(self._health.ready, self._health.summary),
        )
        self._breaker = Breaker(settings.breaker_failures, BreakerReporter(self._metrics, self._health).tell)
        self._queues = names.request_queues(settings.request_queue)
        self._plan = topology.build(settings.request_queue, settings.reply_queue)
        self._reporter = BusReporter(self._metrics, self._health, settings.broker)
        self._main = AmqpPublisher(self._link("publish"), self._reporter)
        self._direct = AmqpPublisher(self._link("direct"), self._reporter)
        self._publisher = SplitPublisher(self._main, self._direct, looks=settings.check_requester)

    async def live(self) -> ExitCode:
        """Go through the four phases. A failure of a part drains too, then exits with its code."""
        code = ExitCode.OK
        try:
            try:
                await self._start()
                await self._or_stop(asyncio.Event().wait())  # the end of any watched task is a failure
            except StartupError as error:
                code = error.exit_code
                log.error("cannot go on: %s", error.message, action="startup_error", exit_code=int(code))
            except PartEnded as ended:
                code = ExitCode.INTERNAL
                log.error("a part of the daemon ended", action="part_ended", part=ended.part, exc_info=ended.__cause__)
            await self._drain()
        finally:
            await self._close()
        return code

    async def _start(self) -> None:
        """Become ready from the outside in: the side port answers first, the consumer is registered last."""
        began = time.monotonic()
        self._parts.push_async_callback(self._tracing.close)
        await self._open_side_port()
        self._watch(watch_loop_lag(self._metrics), "loop-lag")
        self._watch(self._manager.feed(), "watchdog")
        self._watch(watch_history(self._history), "history")
        self._watch(self._main.run(), "publisher")
        self._watch(self._direct.run(), "direct-publisher")
        decoder = await self._open_decoder()
        references = await self._parts.enter_async_context(following.opened(self._settings))
        engine = await self._or_stop(self._open_engine())
        if engine is None:
            return
        intake = self._intake = self._consumed()
        worker = self._worker = self._served(intake, references, decoder, engine)
        operator = Operator(
            intake=intake,
            publisher=self._publisher,
            health=self._health,
            metrics=self._metrics,
            settings=self._settings,
            stop=self._stop,
        )
        self._watch(intake.run(worker.accept, worker.orphan, operator.obey), "intake")
        self._watch(self._follow_blocks(intake), "block-follower")
        self._watch(self._breaker.guard(intake), "breaker")
        self._health.set("accepting", True)
        log.info(
            "started",
            action="started",
            seconds=round(time.monotonic() - began, 2),
            slots=self._settings.effective_slots,
            people=False,  # "ready" follows, when the broker sends notes
        )

    def _consumed(self) -> AmqpIntake:
        return AmqpIntake(
            link=self._link("consume"),
            plan=self._plan,
            mode=self._settings.topology,
            lanes=dict(zip(self._queues, self._settings.lane_prefetches, strict=True)),
            cancel=self._cancels.add,
            counted=self._metrics.queue_counted,
            ignored=self._metrics.orders_ignored.inc,
        )

    def _served(self, intake: AmqpIntake, references: References, decoder: DecoderPool, engine: SpeechEngine) -> Worker:
        overflow = names.overflow_of(self._settings.request_queue)
        callers = Callers(self._settings.caller_share, lambda: intake.hand, lambda: intake.serves(overflow))
        return Worker(
            handler=self._handler(references, decoder, engine, callers),
            publisher=self._publisher,
            intake=intake,
            rules=self._rules(),
            callers=callers,
            metrics=self._metrics,
            tracing=self._tracing,
        )

    async def _follow_blocks(self, intake: AmqpIntake) -> None:
        """Pause the intake while the broker blocks our publishing, until cancelled."""
        while True:
            await self._reporter.blocked_changed.wait()
            self._reporter.blocked_changed.clear()
            await (intake.pause("blocked") if self._reporter.is_blocked else intake.resume("blocked"))

    async def _drain(self) -> None:
        """Give back and finish, in an order that loses nothing."""
        # 1. Readiness off: no more traffic is sent to this worker.
        self._manager.stopping()
        self._health.set("accepting", False, "draining")
        if self._intake is None or self._worker is None:
            return
        # 2. No more deliveries; the connection stays up, with its heartbeats, for what is in hand.
        await self._intake.stop_consuming()
        # 3. Finish what is in hand; what is left after the grace time stays unsettled and is redelivered.
        report = await self._worker.drain(self._settings.drain_seconds)
        said = {"action": "drained", "finished": report.finished, "handed_back": report.handed_back}
        log.info("notes finished: %d; back in the queue: %d", report.finished, report.handed_back, **said)

    async def _close(self) -> None:
        """Close in reverse order of opening: consuming connection, engine, decoders, publisher, side port last."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._parts.aclose()
        except TimeoutError:
            log.warning("closing took too long; leaving the rest to the end of the process", action="close_late")
        log.info("stopped", action="stopped")

    async def _open_side_port(self) -> None:
        server = SideServer(
            self._settings.side_host,
            self._settings.side_port,
            asgi.build(
                metrics=self._metrics,
                health=self._health,
                model_name=lambda: self._settings.public_model,
                history=self._history,
                engine=self._settings.engine,
            ),
        )
        await server.start()
        self._parts.push_async_callback(server.close)
        self._watch(server.watch(), "side-port")
        self._side_url = server.url
        log.info("status, metrics and health at %s", server.url, action="side_port", url=server.url)

    async def _open_decoder(self) -> DecoderPool:
        settings = self._settings
        pool = DecoderPool(
            settings.effective_slots, DecodeLimits.from_settings(settings), self._metrics.decoder_restarted
        )
        self._parts.push_async_callback(pool.close)
        await pool.start()
        log.info("decoder children confined", action="confined", in_force=", ".join(pool.confinement), people=False)
        return pool

    async def _open_engine(self) -> SpeechEngine:
        began = time.monotonic()
        settings = self._settings
        log.info("loading the model %s and testing it: %s", settings.model, LOADING, action="loading")
        engine = await open_engine(
            EngineOptions.from_settings(settings), on_progress=DownloadReporter(self._health, settings.model).tell
        )
        self._parts.push_async_callback(engine.close, ENGINE_SECONDS)
        if not engine.abilities.knows(settings.language):
            raise SettingsError(
                f"STTD_LANGUAGE={settings.language}: the model {settings.model} does not support it; choose another "
                "language or model"
            )
        # In a thread: the file may be long, and the side port answers already.
        await asyncio.to_thread(self._defaults.hotwords.warn_of_cut, engine.fits_prompt)
        self._metrics.model_loaded(engine.info, time.monotonic() - began)
        self._metrics.engine(engine.gate, lambda: engine.context_reruns, settings.effective_slots)
        self._health.set("model", True)
        seconds = round(time.monotonic() - began, 2)
        said = {"action": "model_loaded", "seconds": seconds, **engine.info.model_dump()}
        log.info("the model is loaded and passed its test, after %.0f s", seconds, **said)
        bound = memory.bound(settings, machine.resident_bytes())
        self._metrics.serving(lambda: self._health.ready, bound.total - bound.decoders)
        said = {"action": "memory_bound", **bound.in_mib()}
        log.info("memory: with these settings the daemon needs up to %d MiB", said["total_mib"], **said)
        return engine

    def _on_check(self, check: str, ok: bool, reason: str) -> None:
        log_check(check, ok, reason)
        if self._health.ready:
            log.info(
                "ready: serving %s with the model %s, %d at a time; %s",
                self._settings.request_queue,
                self._settings.model,
                self._settings.effective_slots,
                self._side_url,
                action="ready",
            )

    def _handler(self, references: References, decoder: DecoderPool, engine: SpeechEngine, callers: Callers) -> Handler:
        return Handler(
            publisher=self._publisher,
            references=references,
            decoder=decoder,
            transcriber=engine,
            defaults=self._defaults,
            cancels=self._cancels,
            breaker=self._breaker,
            callers=callers,
            joins=Joins(self._settings.join),
            requester_there=self._publisher.requester_there,
        )

    def _rules(self) -> Rules:
        settings = self._settings
        *lanes, suspect = self._queues
        return Rules(
            reply_queue=settings.reply_queue,
            lanes=tuple(lanes),
            suspect_queue=suspect,
            forbidden_targets=self._plan.forbidden_reply_targets,
            max_body_bytes=settings.max_body_bytes,
            job_seconds=settings.job_seconds,
            worker=settings.worker,
        )

    def _link(self, role: str) -> Link:
        return Link(role=role, url=self._settings.amqp_url, name=self._settings.worker, observer=self._reporter)

    def _watch(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` as a named task for the rest of the life; its end is the daemon's end."""
        task = asyncio.create_task(work, name=name)
        self._watched.add(task)
        self._parts.push_async_callback(cancelled, task)

    async def _or_stop(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Wait for `work`, the stop event or the end of a watched task, whichever comes first; None means stop."""
        job = asyncio.create_task(work, name="phase")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait({job, stop, *self._watched}, return_when=asyncio.FIRST_COMPLETED)
            raise_if_ended(self._watched)
            return await job if job.done() else None
        finally:
            job.cancel()
            stop.cancel()
