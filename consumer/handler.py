"""The story of one message: read, decode, transcribe, answer, ack.

Imports delivery, verdict, copies and the three seams (bus, decoder, transcriber); never a library behind them.
Cancelling it before the settling settles nothing: the broker delivers the message again.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from consumer import copies, verdict
from consumer.audio.decoder import DecodedAudio, Decoder
from consumer.bus.seam import Outgoing, Publisher
from consumer.delivery import Delivery
from consumer.engine.transcriber import TEMPERATURE_LADDER, Job, JobOptions, Transcriber, Transcription
from consumer.errors import PublishForbidden, RequestFailed, StaleDelivery, Unconfirmed, Unroutable
from consumer.failpoints import FailPoints
from consumer.progress import ProgressReporter
from consumer.shield import finished_even_if_cancelled
from consumer.side_port.metrics import Metrics
from consumer.verdict import Verdict
from schemas.codes import DeadReason, ErrorCode
from schemas.options import TranscriptionOptions
from schemas.reply import Failure, Timings, Transcript

REPLY_PATIENCE = 60.0  # s a finished reply is published again and again before the request is retried instead
BACKOFF_FIRST = 0.2  # s
BACKOFF_CAP = 5.0  # s

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an option means when the request does not say."""

    language: str
    beam_size: int
    condition_on_previous_text: bool

    def job_options(self, asked: TranscriptionOptions) -> JobOptions:
        """Fill in the defaults."""
        return JobOptions(
            language=asked.language or self.language,
            default_language=self.language,
            languages=asked.languages,
            task=asked.task,
            beam_size=asked.beam_size or self.beam_size,
            temperatures=TEMPERATURE_LADDER if asked.temperature is None else (asked.temperature,),
            vad=asked.vad,
            word_timestamps=asked.word_timestamps,
            condition_on_previous_text=self.condition_on_previous_text,
            initial_prompt=asked.initial_prompt,
            hotwords=asked.hotwords,
        )


class Handler:
    """Handles one delivery at a time per call; holds no state of its own between calls."""

    def __init__(
        self,
        publisher: Publisher,
        decoder: Decoder,
        transcriber: Transcriber,
        defaults: Defaults,
        metrics: Metrics,
        failpoints: FailPoints | None = None,
    ) -> None:
        """Receive the collaborators."""
        self._failpoints = failpoints or FailPoints()
        self._publisher = publisher
        self._decoder = decoder
        self._transcriber = transcriber
        self._defaults = defaults
        self._metrics = metrics

    async def handle(self, delivery: Delivery) -> Verdict:
        """Bring one delivery to its end. Raises `StaleDelivery` when the broker will deliver it again instead."""
        self._failpoints.reached("received")
        judged = await self._judge(delivery)
        return await finished_even_if_cancelled(self._settle(delivery, judged), name="settle")

    async def _judge(self, delivery: Delivery) -> Verdict:
        if delivery.incoming.malformed is not None:
            return verdict.malformed(delivery)
        if delivery.target_forbidden:
            return verdict.bad_reply_to(delivery)
        try:
            return verdict.completed(await self._transcript(delivery))
        except RequestFailed as error:
            return verdict.failed(delivery, error)
        except Exception as error:
            # A bug of ours must end in a retry and an answer, never in a lost message.
            log.exception("a request failed inside the daemon", action="request_crashed")
            return verdict.failed(delivery, RequestFailed(ErrorCode.INTERNAL_ERROR, f"internal error ({type(error).__name__})"))

    async def _transcript(self, delivery: Delivery) -> Transcript:
        started = time.monotonic()
        request = delivery.open()
        async with _Limit(delivery, request.options.deadline):
            decoded = await self._decoder.decode(request.audio)
            decode_seconds = time.monotonic() - started
            self._failpoints.reached("decoded")
            transcription = await self._transcribe(delivery, decoded, request.options)
        seconds = time.monotonic() - started
        self._failpoints.reached("transcribed")
        self._observe(delivery, decoded, transcription, decode_seconds, seconds)
        return self._assemble(delivery, decoded, transcription, decode_seconds, seconds)

    async def _transcribe(self, delivery: Delivery, decoded: DecodedAudio, asked: TranscriptionOptions) -> Transcription:
        job = Job(decoded.pcm, self._defaults.job_options(asked))
        if not asked.progress:
            return await self._transcriber.transcribe(job)
        async with ProgressReporter(self._publisher, delivery) as reporter:
            job.on_progress = reporter.report
            return await self._transcriber.transcribe(job)

    def _observe(self, delivery: Delivery, decoded: DecodedAudio, heard: Transcription, decode_seconds: float, seconds: float) -> None:
        duration = decoded.info.duration
        if delivery.queued_seconds is not None:
            self._metrics.observe_stage("queued", delivery.queued_seconds)
        self._metrics.observe_stage("decode", decode_seconds)
        self._metrics.observe_stage("transcribe", seconds - decode_seconds)
        self._metrics.observe_audio(duration, no_speech=not heard.text)
        self._metrics.bad_packets(decoded.info.bad_packets)
        if duration > 0:
            self._metrics.real_time_factor((seconds - decode_seconds) / duration)

    def _assemble(
        self, delivery: Delivery, decoded: DecodedAudio, heard: Transcription, decode_seconds: float, seconds: float
    ) -> Transcript:
        return Transcript(
            correlation_id=delivery.correlation_id,
            message_id=delivery.message_id,
            text=heard.text,
            language=heard.language,
            language_probability=heard.language_probability,
            duration=decoded.info.duration,
            no_speech=not heard.text,
            segments=heard.segments,
            audio=decoded.info,
            model=self._transcriber.info,
            timings=Timings(queued=delivery.queued_seconds, decode=decode_seconds, transcribe=seconds - decode_seconds, total=seconds),
            attempt=delivery.attempt,
            worker=delivery.rules.worker,
        )

    async def _settle(self, delivery: Delivery, judged: Verdict) -> Verdict:
        """Replace, then ack: no other path acks. The verdict may turn out worse on the way (an unreachable target)."""
        self._failpoints.reached("before_reply")
        started = time.monotonic()
        done = judged

        async def replace() -> None:
            nonlocal done
            done = await self._replace(delivery, judged)

        try:
            await delivery.settlement.replace(replace)
        except (Unroutable, PublishForbidden) as error:
            log.error("no copy could be published; the broker dead-letters the request itself", action="rejected", reason=error.message)
            await delivery.settlement.reject()
            return Verdict("dead_lettered", judged.code, dead_reason=DeadReason.UNPUBLISHABLE)
        self._failpoints.reached("after_confirm")
        self._metrics.observe_stage("reply", time.monotonic() - started)
        await delivery.settlement.ack()
        self._failpoints.reached("after_ack")
        return done

    async def _replace(self, delivery: Delivery, judged: Verdict) -> Verdict:
        done = judged
        if judged.answer is not None:
            done = await self._answer(delivery, judged, judged.answer)
        if done.copy is not None:
            await self._insist(delivery, done.copy)
        return done

    async def _answer(self, delivery: Delivery, judged: Verdict, body: Transcript | Failure) -> Verdict:
        answer = copies.reply(delivery, body)
        try:
            await self._insist(delivery, answer, patience=REPLY_PATIENCE)
        except Unroutable:
            # Its queue is gone: the finished answer is kept where an operator, or the caller himself, can find it.
            await self._insist(delivery, copies.parked(answer, delivery))
            self._metrics.reply_parked()
        except PublishForbidden:
            return verdict.bad_reply_to(delivery)
        except Unconfirmed:
            return verdict.unconfirmed(delivery)
        return judged

    async def _insist(self, delivery: Delivery, message: Outgoing, patience: float = float("inf")) -> None:
        """Publish until the broker confirms. Gives up after `patience` seconds, or when the message will come again anyway."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience
        pause = BACKOFF_FIRST
        while True:
            try:
                return await self._publisher.publish(message)
            except Unconfirmed as error:
                if loop.time() + pause > give_up:
                    raise
                log.warning(
                    "a publish was not confirmed; trying again", action="publish_again", reason=error.message, to=message.routing_key
                )
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


class _Limit:
    """Bounds the work on one delivery by the caller's deadline, the message's expiration and the daemon's own limit."""

    def __init__(self, delivery: Delivery, deadline: datetime | None) -> None:
        moments = [moment for moment in (deadline, delivery.expires) if moment is not None]
        self._expires = min(moments) if moments else None
        self._ours = delivery.incoming.received + delivery.rules.job_seconds
        self._seconds = delivery.rules.job_seconds

    async def __aenter__(self) -> None:
        """Refuse what is too late already: no engine time is spent on it."""
        loop = asyncio.get_running_loop()
        left = (self._expires - datetime.now(UTC)).total_seconds() if self._expires else float("inf")
        if left <= 0:
            raise RequestFailed(ErrorCode.EXPIRED, "the deadline passed before the work began")
        self._theirs = loop.time() + left
        self._timeout = asyncio.timeout_at(min(self._theirs, self._ours))
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Say whose patience ended."""
        try:
            await self._timeout.__aexit__(kind, error, trace)  # type: ignore[arg-type]  # a traceback, whatever its name
        except TimeoutError as late:
            if self._theirs <= self._ours:
                raise RequestFailed(ErrorCode.EXPIRED, "the deadline passed before the transcript was ready") from late
            raise RequestFailed(ErrorCode.TIMED_OUT, f"no transcript within {self._seconds:g} s of the delivery") from late
