"""The seam to the engine: what is asked of it, what comes back, who can do it.

Imports schemas and consumer.pcm; never faster_whisper (that is model.py's).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from consumer.pcm import Pcm
from consumer.timeline import Timeline
from schemas.reply import ModelInfo, Segment

TEMPERATURE_LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Whisper's fallback: each next temperature is tried while the text repeats itself or is improbable."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The options of one transcription with every default filled in. `language`: a code or `auto`."""

    language: str
    default_language: str
    languages: tuple[str, ...] | None
    task: Literal["transcribe", "translate"]
    beam_size: int
    temperatures: tuple[float, ...]
    vad: bool
    word_timestamps: bool
    condition_on_previous_text: bool
    initial_prompt: str | None
    hotwords: str | None


@dataclass(slots=True)
class Job:
    """One transcription: `pcm` is float32 mono in [-1, 1], shape (samples,), 16 kHz.

    `stop` is read between windows: once set, the job ends with `JobStopped`. `on_progress(fraction, text so far)`
    is called in the job's thread after each segment. `timeline`: where each model call is written down.
    """

    pcm: Pcm
    options: JobOptions
    stop: threading.Event = field(default_factory=threading.Event)
    on_progress: Callable[[float, str], None] | None = None
    timeline: Timeline = field(default_factory=Timeline)


@dataclass(frozen=True, slots=True)
class Transcription:
    """What the model heard. Silence is `segments == []`."""

    segments: list[Segment]
    language: str
    language_probability: float

    @property
    def text(self) -> str:
        """All segments as one line of text."""
        return "".join(segment.text for segment in self.segments).strip()


class Transcriber(Protocol):
    """Turns PCM into segments off the event loop."""

    @property
    def info(self) -> ModelInfo:
        """Which model answers, and on what."""
        ...

    async def transcribe(self, job: Job) -> Transcription:
        """Run one job. Raises `ModelFailed`, or `JobStopped` after `job.stop` was set.

        Cancelling the caller sets `job.stop`: the thread ends at the next window.
        """
        ...
