"""The seam to the engine: the request, the result, and the protocol of a transcriber."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, Self

from sttd.consumer.engine import hotwords
from sttd.consumer.engine.abilities import Abilities
from sttd.consumer.engine.hotwords import Hotwords
from sttd.consumer.errors import JobStopped
from sttd.consumer.pcm import SAMPLE_RATE, Pcm
from sttd.consumer.settings import Settings
from sttd.consumer.timeline import Timeline
from sttd.schemas.options import Doubtful, NumeralForm, TranscriptionOptions
from sttd.schemas.reply import ModelInfo, Segment

Lane = Literal["interactive", "overflow", "bulk"]
"""The urgent one first."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The options of one transcription.

    `language`: a code or `auto`; `default_language`: the daemon's, a fallback; `temperature`: None for the engine's
    own; `hotwords`: None for the `usual` ones.
    """

    language: str
    default_language: str
    languages: tuple[str, ...] | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    beam_size: int = 5
    temperature: float | None = None
    vad: bool = True
    word_timestamps: bool = False
    condition_on_previous_text: bool = False
    initial_prompt: str | None = None
    hotwords: str | None = None
    usual: Hotwords = field(default_factory=Hotwords)
    drop_doubtful: bool = False

    def with_words_for(self, spoken: str) -> "JobOptions":
        """The same for a sound in this language: its hotwords are known now. A translation is English."""
        if self.hotwords is not None:
            return self
        return replace(self, hotwords=self.usual.text("en" if self.task == "translate" else spoken))


@dataclass(frozen=True, slots=True)
class JobDefaults:
    """What an option means when the request does not name it."""

    language: str
    beam_size: int
    condition_on_previous_text: bool
    numerals: NumeralForm = "as_heard"
    doubtful: Doubtful = "keep"
    hotwords: Hotwords = field(default_factory=Hotwords)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The daemon's. Raises `SettingsError` where the file of hotwords is wrong."""
        return cls(
            settings.language,
            settings.beam_size,
            settings.condition_on_previous_text,
            settings.numerals,
            settings.doubtful,
            hotwords.read(settings.hotwords, settings.hotwords_file),
        )

    def job_options(self, asked: TranscriptionOptions) -> JobOptions:
        """The options of one request, complete."""
        return JobOptions(
            language=asked.language or self.language,
            default_language=self.language,
            languages=asked.languages,
            task=asked.task,
            beam_size=asked.beam_size or self.beam_size,
            temperature=asked.temperature,
            vad=asked.vad,
            word_timestamps=asked.word_timestamps,
            condition_on_previous_text=self.condition_on_previous_text,
            initial_prompt=asked.initial_prompt,
            hotwords=asked.hotwords,
            usual=self.hotwords,
            drop_doubtful=(asked.doubtful or self.doubtful) == "drop",
        )


class Stop(threading.Event):
    """An event that also wakes threads that wait for something else."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: set[Callable[[], None]] = set()

    def set(self) -> None:
        """Set it and wake all sleepers. Called from any thread."""
        super().set()
        for wake in self._sleepers.copy():
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """While the context lasts, `wake` is called when the event is set, or at once if it is."""
        self._sleepers.add(wake)
        try:
            if self.is_set():  # set() may have passed before the callback was added
                wake()
            yield
        finally:
            self._sleepers.discard(wake)


@dataclass(slots=True)
class Job:
    """One transcription: `pcm` is mono, shape (samples,), 16 kHz.

    `stop` is read before each model call: once set, the job ends with `JobStopped`. `on_progress(fraction, text so
    far)` is called in one of the job's threads, one call at a time. `begun` is set with the first model call.
    `heard_seconds`: how much of the audio is done; the engine keeps it, the scheduler reads it. `timeline`: where each
    model call is recorded. `caller`: whom it is for, if known; callers are served by turns.
    """

    pcm: Pcm
    options: JobOptions
    stop: Stop = field(default_factory=Stop)
    on_progress: Callable[[float, str], None] | None = None
    lane: Lane = "interactive"
    caller: str | None = None
    begun: threading.Event = field(default_factory=threading.Event)
    heard_seconds: float = 0.0
    timeline: Timeline = field(default_factory=Timeline)

    @property
    def audio_seconds(self) -> float:
        """The length of the audio."""
        return self.pcm.size / SAMPLE_RATE

    @property
    def remaining(self) -> float:
        """Seconds of audio still to be transcribed."""
        return max(0.0, self.audio_seconds - self.heard_seconds)

    def stop_if_told(self) -> None:
        """Raise `JobStopped` once it is stopped."""
        if self.stop.is_set():
            raise JobStopped("stopped between two windows")


@dataclass(frozen=True, slots=True)
class Transcription:
    """The result of the model. Silence is `segments == []`.

    `raw_text`: as it was heard, if that was rewritten; `dropped`: segments that were left out as doubtful.
    """

    segments: list[Segment]
    language: str
    language_probability: float
    raw_text: str | None = None
    dropped: list[Segment] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All segments as one line of text."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def confidence(self) -> float | None:
        """The expected share of right words in the text; None without a text, or where a segment has none."""
        words = [len(one.text.split()) for one in self.segments]
        shares = [one.confidence for one in self.segments if one.confidence is not None]
        if len(shares) < len(words) or not sum(words):
            return None
        return round(sum(share * count for share, count in zip(shares, words, strict=True)) / sum(words), 3)


class Transcriber(Protocol):
    """Turns PCM into segments off the event loop."""

    @property
    def info(self) -> ModelInfo:
        """Which model answers, and on what."""

    @property
    def abilities(self) -> Abilities:
        """What it can do."""

    async def transcribe(self, job: Job) -> Transcription:
        """Run one job. Raises `ModelFailed`, or `JobStopped` after `job.stop` was set.

        Cancelling this call sets `job.stop`: the thread ends before the next call of the model.
        """
