"""The story of one message: read, decode, transcribe, answer, ack.

Imports delivery, verdict, copies and the seams (bus, references, decoder, transcriber); never a library behind them.
Cancelling it before the settling settles nothing: the broker delivers the message again.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from sttd.consumer.audio.decoder import DecodedAudio, Decoder
from sttd.consumer.bus.seam import Publisher
from sttd.consumer.engine.transcriber import TEMPERATURE_LADDER, Job, JobOptions, Transcriber, Transcription
from sttd.consumer.errors import RequestFailed
from sttd.consumer.failpoints import FailPoints
from sttd.consumer.refs.references import References
from sttd.consumer.request import verdict
from sttd.consumer.request.cancels import Cancels
from sttd.consumer.request.delivery import Delivery
from sttd.consumer.request.limit import Limit, cancelled
from sttd.consumer.request.progress import ProgressReporter
from sttd.consumer.request.settling import Settling
from sttd.consumer.request.verdict import Verdict
from sttd.consumer.side_port.metrics import Metrics
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions
from sttd.schemas.reference import Reference
from sttd.schemas.reply import Timings, Transcript

ENGINE_STAGES = {"wait": ("wait",), "encode": ("encode",), "generate": ("generate", "align", "detect_language")}
"""Stages of the metrics, and the steps of a timeline that make them up."""

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
        references: References,
        decoder: Decoder,
        transcriber: Transcriber,
        defaults: Defaults,
        metrics: Metrics,
        cancels: Cancels,
        failpoints: FailPoints,
        requester_there: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """Receive the collaborators. `requester_there`: asks whether a direct reply-to still has its requester; None does not ask."""
        self._requester_there = requester_there
        self._settling = Settling(publisher, metrics, failpoints)
        self._publisher = publisher
        self._references = references
        self._decoder = decoder
        self._transcriber = transcriber
        self._defaults = defaults
        self._metrics = metrics
        self._cancels = cancels
        self._failpoints = failpoints

    async def handle(self, delivery: Delivery) -> Verdict:
        """Bring one delivery to its end. Raises `StaleDelivery` when the broker will deliver it again instead."""
        self._failpoints.reached("received", delivery.message_id)
        judged = await self._judge(delivery)
        return await self._settling.settle(delivery, judged)

    async def _judge(self, delivery: Delivery) -> Verdict:
        try:
            return await self._refusal(delivery) or verdict.completed(await self._transcript(delivery))
        except RequestFailed as error:
            return verdict.failed(delivery, error)
        except Exception as error:
            # A bug of ours must end in a retry and an answer, never in a lost message.
            log.exception("a request failed inside the daemon", action="request_crashed")
            return verdict.failed(
                delivery, RequestFailed(ErrorCode.INTERNAL_ERROR, f"internal error ({type(error).__name__})")
            )

    async def _refusal(self, delivery: Delivery) -> Verdict | None:
        """What is settled without being read; None goes on."""
        if delivery.incoming.malformed is not None:
            return verdict.malformed(delivery)
        if delivery.target_forbidden:
            return verdict.bad_reply_to(delivery)
        if delivery.dangerous:
            return verdict.poison(delivery) if delivery.suspected else verdict.suspect(delivery)
        if (
            delivery.direct_reply
            and self._requester_there is not None
            and not await self._requester_there(delivery.target)
        ):
            return verdict.nobody_waits(delivery)
        return None

    async def _transcript(self, delivery: Delivery) -> Transcript:
        started = time.monotonic()
        request = delivery.open()
        if delivery.message_id in self._cancels:
            raise cancelled()
        async with Limit(delivery, request.options.deadline) as limit:
            with (
                self._cancels.stopping(delivery.message_id, limit.cancel),
                await self._decoded(delivery, request.audio) as decoded,
            ):
                decoded_at = time.monotonic()
                decode_seconds = decoded_at - started
                delivery.timeline.add("decode", started, decoded_at)
                self._failpoints.reached("decoded", delivery.message_id)
                with delivery.timeline.step("transcribe"):
                    transcription = await self._transcribe(delivery, decoded, request.options)
        seconds = time.monotonic() - started
        self._failpoints.reached("transcribed", delivery.message_id)
        self._observe(delivery, decoded, transcription, decode_seconds, seconds)
        return self._assemble(delivery, decoded, transcription, decode_seconds, seconds)

    async def _decoded(self, delivery: Delivery, audio: bytes | Reference) -> DecodedAudio:
        """Decode the bytes, fetched first where the request only says where they are. The file itself is not kept."""
        if isinstance(audio, bytes):
            return await self._decoder.decode(audio)
        with delivery.timeline.step("fetch"):
            fetched = await self._references.fetch(audio)
        self._metrics.observe_stage("fetch", delivery.timeline.seconds("fetch"))
        return await self._decoder.decode(fetched)

    async def _transcribe(
        self, delivery: Delivery, decoded: DecodedAudio, asked: TranscriptionOptions
    ) -> Transcription:
        job = Job(
            decoded.pcm,
            self._defaults.job_options(asked),
            lane="bulk" if delivery.bulk else "interactive",
            begun=delivery.begun,
            timeline=delivery.timeline,
        )
        if not asked.progress:
            return await self._transcriber.transcribe(job)
        async with ProgressReporter(self._publisher, delivery) as reporter:
            job.on_progress = reporter.report
            return await self._transcriber.transcribe(job)

    def _observe(
        self, delivery: Delivery, decoded: DecodedAudio, heard: Transcription, decode_seconds: float, seconds: float
    ) -> None:
        duration = decoded.info.duration
        if delivery.queued_seconds is not None:
            self._metrics.observe_stage("queued", delivery.queued_seconds)
        self._metrics.observe_stage("decode", decode_seconds)
        self._metrics.observe_stage("transcribe", seconds - decode_seconds)
        for stage, steps in ENGINE_STAGES.items():
            if spent := delivery.timeline.seconds(*steps):
                self._metrics.observe_stage(stage, spent)
        for step in delivery.timeline.steps:
            if step.name in ENGINE_STAGES["generate"]:
                self._metrics.batch(step.together)
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
            timings=Timings(
                queued=delivery.queued_seconds,
                decode=decode_seconds,
                transcribe=seconds - decode_seconds,
                total=seconds,
            ),
            attempt=delivery.attempt,
            worker=delivery.rules.worker,
        )
