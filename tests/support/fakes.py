"""Stand-ins at the handler's seams: a scripted decoder and transcriber, and an observer of the bus.

Both can be held in the middle of the work, and record their input and whether they were cancelled.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from sttd.consumer.audio.decoder import DecodedAudio
from sttd.consumer.bus.seam import Outgoing, Publisher
from sttd.consumer.engine.abilities import HINTS, Abilities
from sttd.consumer.engine.transcriber import Job, JobDefaults, Transcription
from sttd.consumer.refs.references import References
from sttd.consumer.request.breaker import Breaker
from sttd.consumer.request.callers import Callers
from sttd.consumer.request.cancels import Cancels
from sttd.consumer.request.delivery import Delivery, Rules
from sttd.consumer.request.handler import Handler
from sttd.consumer.request.joins import Joins
from sttd.consumer.request.settlement import Settlement
from sttd.consumer.request.verdict import Verdict
from sttd.consumer.request.worker import Worker
from sttd.consumer.settings import Join
from sttd.consumer.side_port.metrics import Metrics
from sttd.consumer.tracing.seam import Tracing
from sttd.schemas.languages import CODES
from sttd.schemas.reply import AudioInfo, ModelInfo, Segment
from tests.support.memory_bus import MemoryBroker, Stored
from tests.support.waiting import PATIENCE

T = TypeVar("T")

SOUND = DecodedAudio(
    pcm=np.zeros(16_000, np.float32),
    info=AudioInfo(duration=1.0, format="ogg", codec="opus", sample_rate=48_000, channels=1),
)
HEARD = Transcription(
    segments=[
        Segment(id=0, start=0, end=1, text=" привет", avg_logprob=-0.1, no_speech_prob=0.01, compression_ratio=1.0)
    ],
    language="ru",
    language_probability=1.0,
)
SILENCE = Transcription(segments=[], language="ru", language_probability=1.0)
ABLE = Abilities(
    engine="fake",
    model="fake",
    languages=CODES,
    translates=True,
    hints=frozenset(HINTS),
    word_times=True,
)
"""All that there is."""
DIRECT_ADDRESS = "amq.rabbitmq.reply-to.g1h2AA9yZXBseUAxMzM4MzgzNDAAAAPnAAAAAGsHUJc=.HuNSVSWQzfzkt7pQJ44FTQ=="
"""A direct reply-to address as RabbitMQ 4.3.6 gave it."""

RULES = Rules(
    reply_queue="stt.replies",
    lanes=("stt.requests", "stt.requests.overflow", "stt.requests.bulk"),
    suspect_queue="stt.suspect",
    forbidden_targets=frozenset(
        {"stt.requests", "stt.requests.overflow", "stt.requests.bulk", "stt.suspect", "stt.dead", "stt.replies.dead"}
    ),
    max_body_bytes=1000,
    job_seconds=30.0,
    worker="worker-1",
)


class _Fake(Generic[T]):
    """Gives its outcomes in order, the last one for ever. `hold()` stops it until the returned event is set."""

    def __init__(self, *outcomes: T | Exception) -> None:
        self.outcomes = list(outcomes)
        self.calls = 0
        self.cancelled = 0
        self.entered = asyncio.Event()
        self._held: asyncio.Event | None = None

    def hold(self) -> asyncio.Event:
        """Stop in the middle of the next calls; set the event to let them go on."""
        self._held = asyncio.Event()
        return self._held

    async def _do(self) -> T:
        self.calls += 1
        self.entered.set()
        try:
            if self._held is not None:
                await self._held.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class FakeDecoder(_Fake[DecodedAudio]):
    """A `Decoder`. `seen`: the files that it was given."""

    def __init__(self, *outcomes: DecodedAudio | Exception) -> None:
        super().__init__(*(outcomes or (SOUND,)))
        self.seen: list[bytes] = []

    async def decode(self, audio: bytes) -> DecodedAudio:
        self.seen.append(audio)
        return await self._do()


class FakeTranscriber(_Fake[Transcription]):
    """A `Transcriber`. `jobs`: what it was asked; `progress`: what it reports on the way."""

    def __init__(self, *outcomes: Transcription | Exception, progress: tuple[tuple[float, str], ...] = ()) -> None:
        super().__init__(*(outcomes or (HEARD,)))
        self.jobs: list[Job] = []
        self.progress = progress
        self.able = ABLE

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(name="fake", engine="none", device="cpu", compute_type="int8")

    @property
    def abilities(self) -> Abilities:
        """See `Transcriber.abilities`."""
        return self.able

    async def transcribe(self, job: Job) -> Transcription:
        """See `Transcriber.transcribe`; progress comes from another thread, as the engine's does."""
        self.jobs.append(job)
        job.begun.set()
        if job.on_progress is not None:
            for fraction, text in self.progress:
                await asyncio.to_thread(job.on_progress, fraction, text)
        return await self._do()


class FakeSettler:
    """A `Settler` that notes each call in `calls`."""

    def __init__(self, fails_with: Exception | None = None) -> None:
        self.calls: list[str] = []
        self._fails_with = fails_with

    async def ack(self) -> None:
        await self._note("ack")

    async def reject(self) -> None:
        await self._note("reject")

    async def _note(self, call: str) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        if self._fails_with is not None:
            raise self._fails_with


class FakeIntake:
    """An `Intake` that notes each call in `calls`. `pausing`: set by a pause, which waits for ever if it `hangs`."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.calls: list[str] = []
        self.pausing = asyncio.Event()
        self._news = asyncio.Event()
        self._hangs = hangs

    async def until(self, true: Callable[[list[str]], bool]) -> None:
        """Wait until it has been asked for something."""
        while not true(self.calls):
            self._news.clear()
            await self._news.wait()

    async def pause(self, reason: str) -> None:
        self.calls.append(f"pause {reason}")
        self.pausing.set()
        if self._hangs:
            await asyncio.Event().wait()

    async def resume(self, reason: str, most: int | None = None) -> None:
        self.calls.append(f"resume {reason}" if most is None else f"resume {reason} with {most}")
        self._news.set()

    def reconnect(self, reason: str) -> None:
        self.calls.append(f"reconnect: {reason}")


class Watcher:
    """A `BusObserver` that keeps every event and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._news = asyncio.Condition()
        self._waking: set[asyncio.Task[None]] = set()

    def connected(self, role: str) -> None:
        self._note("connected", role)

    def lost(self, role: str, reason: str) -> None:
        self._note("lost", role, reason)

    def blocked(self, role: str, blocked: bool) -> None:
        self._note("blocked", blocked)

    def _note(self, *what: Any) -> None:
        self.told.append(what)
        task = asyncio.create_task(self._wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    def connects(self, role: str) -> int:
        """How often this role has connected."""
        return sum(1 for what in self.told if what == ("connected", role))

    def losses(self, role: str) -> list[str]:
        """Why this role lost its connection, in order."""
        return [what[2] for what in self.told if what[:2] == ("lost", role)]

    async def until(self, true: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until a fact about the events holds; raises `TimeoutError` with all of them."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(true)
        except TimeoutError:
            raise TimeoutError(f"told so far: {self.told}") from None


@dataclass
class Desk:
    """A handler and a worker on a memory broker, with fakes for decoder and engine."""

    broker: MemoryBroker
    decoder: FakeDecoder = field(default_factory=FakeDecoder)
    transcriber: FakeTranscriber = field(default_factory=FakeTranscriber)
    rules: Rules = RULES
    metrics: Metrics = field(default_factory=Metrics)
    publisher: Publisher | None = None
    cancels: Cancels = field(default_factory=Cancels)
    breaker: Breaker = field(default_factory=lambda: Breaker(0))
    references: References | None = None
    intake: FakeIntake = field(default_factory=FakeIntake)
    join: Join = "never"
    callers: Callers = field(default_factory=lambda: Callers(0.5, lambda: 8))
    defaults: JobDefaults = field(default_factory=lambda: JobDefaults("ru", 5, condition_on_previous_text=False))

    def handler(self) -> Handler:
        return Handler(
            publisher=self.publisher or self.broker.publisher(),
            references=self.references or References(None, (), most_bytes=1000),
            decoder=self.decoder,
            transcriber=self.transcriber,
            defaults=self.defaults,
            cancels=self.cancels,
            breaker=self.breaker,
            callers=self.callers,
            joins=Joins(self.join),
        )

    def worker(self, tracing: Tracing | None = None) -> Worker:
        return Worker(
            handler=self.handler(),
            publisher=self.publisher or self.broker.publisher(),
            intake=self.intake,
            rules=self.rules,
            callers=self.callers,
            metrics=self.metrics,
            tracing=tracing,
        )

    def settlement(self) -> Settlement:
        """The settlement of the next message of the interactive lane, now in hand."""
        return Settlement(Delivery(self.broker.deliver(), self.rules), self.publisher or self.broker.publisher())

    async def handle(self, held: Settlement | None = None) -> Verdict:
        """Bring one delivery to its end: the next message of the interactive lane if none is given."""
        held = held or self.settlement()
        return await held.carry_out(await self.handler().judge(held.delivery))

    def only(self, queue: str) -> Stored:
        (stored,) = self.broker.queues[queue].ready
        return stored

    def empty(self, *queues: str) -> bool:
        """Whether these queues hold nothing."""
        return not any(self.broker.queues[queue].ready for queue in queues)


class StuckPublisher:
    """A `Publisher` that holds each publish until `release` is set.

    `entered`: one waits; `published`: the confirmed ones.
    """

    def __init__(self, inner: Publisher) -> None:
        self._inner = inner
        self.entered = asyncio.Event()
        self.release = asyncio.Event()

    async def publish(self, message: Outgoing) -> None:
        self.entered.set()
        await self.release.wait()
        await self._inner.publish(message)
