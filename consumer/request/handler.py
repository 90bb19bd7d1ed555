"""The work on one request: refuse or read, fetch, decode, transcribe; it ends in a verdict.

Uses the seams only (bus, references, decoder, transcriber); never settles.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from sttd.consumer.audio.decoder import DecodedAudio, Decoder
from sttd.consumer.bus.seam import Publisher
from sttd.consumer.engine.transcriber import Job, JobDefaults, Transcriber, Transcription
from sttd.consumer.errors import RequestFailed
from sttd.consumer.refs.references import References
from sttd.consumer.request import verdict
from sttd.consumer.request.breaker import Breaker
from sttd.consumer.request.callers import Callers, OneTooMany
from sttd.consumer.request.cancels import Cancels
from sttd.consumer.request.delivery import Delivery
from sttd.consumer.request.joins import Computation, Joins
from sttd.consumer.request.limit import Limit, cancelled
from sttd.consumer.request.numerals import rewritten
from sttd.consumer.request.progress import ProgressReporter
from sttd.consumer.request.verdict import Verdict
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions
from sttd.schemas.reference import Reference
from sttd.schemas.reply import AudioInfo, Timings, Transcript

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was computed for one request, or for several; `seconds`: what it took after decoding.

    `joined`: computed for another request.
    """

    info: AudioInfo
    transcription: Transcription
    seconds: float
    joined: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Handler:
    """Judges deliveries, any number at a time; holds no state of its own between calls.

    `publisher` takes progress. `requester_there`: whether a direct reply-to has its requester, if given.
    """

    publisher: Publisher
    references: References
    decoder: Decoder
    transcriber: Transcriber
    defaults: JobDefaults
    cancels: Cancels
    breaker: Breaker
    callers: Callers
    joins: Joins[Hearing]
    requester_there: Callable[[str], Awaitable[bool]] | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    """The memory bound counts one JSON body at a time."""

    async def judge(self, delivery: Delivery) -> Verdict:
        """Do the work; return what is to replace the message. Raises nothing but a cancellation."""
        async with self.breaker.turn():
            try:
                return await self._refusal(delivery) or verdict.completed(await self._transcript(delivery))
            except OneTooMany:
                return verdict.moved(delivery)
            except RequestFailed as error:
                return self._failed(delivery, error)
            except Exception as error:
                # A bug of ours must end in a retry and an answer, never in a lost message.
                log.exception("a request failed inside the daemon", action="request_crashed")
                words = f"internal error ({type(error).__name__})"
                return self._failed(delivery, RequestFailed(ErrorCode.INTERNAL_ERROR, words))

    def _failed(self, delivery: Delivery, error: RequestFailed) -> Verdict:
        if self.breaker.failed(delivery, error):
            return verdict.spared(delivery, error.code)
        return verdict.failed(delivery, error)

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
            and self.requester_there is not None
            and not await self.requester_there(delivery.target)
        ):
            return verdict.requester_gone(delivery)
        return None

    async def _transcript(self, delivery: Delivery) -> Transcript:
        started = time.monotonic()
        async with self._reading:
            request = await delivery.read()
        if delivery.message_id in self.cancels:
            raise cancelled()
        async with Limit(delivery, request.options.deadline) as limit:
            # While it is open, notes in hand are tried one by one: each counts for its caller, none moves.
            self.callers.admit(delivery, request.options.caller, stays=self.breaker.open)
            with self.cancels.stopping(delivery.message_id, limit.cancel):
                options = request.options
                self.transcriber.abilities.refuse(self.defaults.job_options(options))
                audio = await self._fetched(delivery, request.audio)
                del request  # with the audio that was taken out of JSON
                key = await self.joins.key(delivery, audio, options)
                work, joined = self._work(key, delivery, audio, options)
                del audio
                heard = await self._result(delivery, work, options)
        self.breaker.worked(delivery)
        total = time.monotonic() - started
        transcribe = min(heard.seconds, total)
        timings = Timings(queued=delivery.queued_seconds, decode=total - transcribe, transcribe=transcribe, total=total)
        ignored = self.transcriber.abilities.ignored(options)
        return self._assemble(delivery, replace(heard, joined=joined), timings, ignored)

    async def _fetched(self, delivery: Delivery, audio: bytes | Reference) -> bytes:
        """The file's bytes, fetched where the request only names them."""
        if isinstance(audio, bytes):
            return audio
        with delivery.timeline.step("fetch"):
            return await self.references.fetch(audio)

    def _work(
        self, key: Hashable, delivery: Delivery, audio: bytes, options: TranscriptionOptions
    ) -> tuple[Computation[Hearing], bool]:
        """The computation for a request, and whether it was begun for another."""
        work = self.joins.find(key, delivery, options.caller)
        if work is not None:
            delivery.begun = work.begun
            return work, True
        compute = partial(self._hear, delivery, audio, options)
        return self.joins.begin(key, delivery, options.caller, compute), False

    async def _result(self, delivery: Delivery, work: Computation[Hearing], options: TranscriptionOptions) -> Hearing:
        if not options.progress:
            return await work.result()
        async with ProgressReporter(self.publisher, delivery) as reporter:
            work.reports.append(reporter.report)
            try:
                return await work.result()
            finally:
                work.reports.remove(reporter.report)

    async def _hear(
        self, delivery: Delivery, audio: bytes, options: TranscriptionOptions, work: Computation[Hearing]
    ) -> Hearing:
        """Decode and transcribe. The file itself is not kept."""
        started = time.monotonic()
        with await self.decoder.decode(audio) as decoded:
            del audio
            decoded_at = time.monotonic()
            delivery.timeline.add("decode", started, decoded_at)
            with delivery.timeline.step("transcribe"):
                heard = await self._transcribe(delivery, decoded, options, work)
                transcription = await self._with_numerals(heard, options)
            return Hearing(decoded.info, transcription, time.monotonic() - decoded_at)

    async def _transcribe(
        self, delivery: Delivery, decoded: DecodedAudio, asked: TranscriptionOptions, work: Computation[Hearing]
    ) -> Transcription:
        job = Job(
            decoded.pcm,
            self.defaults.job_options(asked),
            lane=delivery.urgency,
            caller=asked.caller,
            begun=delivery.begun,
            timeline=delivery.timeline,
            on_progress=work.report if asked.progress else None,
        )
        return await self.transcriber.transcribe(job)

    async def _with_numerals(self, heard: Transcription, asked: TranscriptionOptions) -> Transcription:
        """In a thread: the text of an hour takes longer than the event loop may stand still."""
        form = asked.numerals or self.defaults.numerals
        if form == "as_heard":
            return heard
        language = "en" if asked.task == "translate" else heard.language
        texts = await asyncio.to_thread(rewritten, [one.text for one in heard.segments], language, form)
        segments = [one.model_copy(update={"text": text}) for one, text in zip(heard.segments, texts, strict=True)]
        return replace(heard, segments=segments, raw_text=heard.text)

    def _assemble(self, delivery: Delivery, heard: Hearing, timings: Timings, ignored: list[str]) -> Transcript:
        info, transcription = heard.info, heard.transcription
        return Transcript(
            correlation_id=delivery.correlation_id,
            message_id=delivery.message_id,
            text=transcription.text,
            raw_text=transcription.raw_text,
            language=transcription.language,
            language_probability=transcription.language_probability,
            confidence=transcription.confidence,
            duration=info.duration,
            no_speech=not transcription.text,
            segments=transcription.segments,
            dropped=transcription.dropped,
            audio=info,
            model=self.transcriber.info,
            timings=timings,
            attempt=delivery.attempt,
            worker=delivery.rules.worker,
            joined=heard.joined,
            ignored=ignored,
        )
