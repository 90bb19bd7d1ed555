"""The transcriber: a thread per message, each running faster-whisper's own `transcribe` through the gate.

Long audio is cut at silences, and helping threads take windows of it (windows.py). The event loop only awaits.
Third-party exceptions leave as `ModelFailed`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np

from sttd.consumer.engine.glue import Glued, Spans
from sttd.consumer.engine.model import language
from sttd.consumer.engine.model.guards import marked, parted
from sttd.consumer.engine.model.loaded import LoadedModel
from sttd.consumer.engine.model.segments import to_segment
from sttd.consumer.engine.transcriber import Job, JobOptions, Lane, Transcription
from sttd.consumer.engine.windows import (
    Helpers,
    LongAudio,
    LongNote,
    first_to_hear,
    joined,
    packed_windows,
    seconds,
)
from sttd.consumer.errors import JobStopped, ModelFailed, ModelUnavailable, RequestFailed, SttdError
from sttd.consumer.pcm import SAMPLE_RATE, Pcm
from sttd.schemas import languages
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reply import ModelInfo, Segment

Window: TypeAlias = Spans | None
"""The parts that one window transcribes; None: the whole audio."""

NEARLY_DONE: Final = 0.99
"""The largest fraction that a progress report names: 1 is the transcript itself."""

VOWEL: Final = ((450, 80), (800, 100), (2500, 150))
"""Centre and half width of the resonances of an "o", Hz."""

PROMPT_CHARACTERS: Final = 1000
"""How much of the text before a pause goes on as the prompt behind it. Whisper takes the last 223 tokens."""


class WhisperTranscriber:
    """Implements `Transcriber` with one loaded model."""

    def __init__(self, model: LoadedModel, *, threads: int, long_audio: LongAudio | None = None) -> None:
        """Keep the arguments.

        `threads`: messages at a time, most of them waiting at the gate (the prefetch). Without `long_audio` no audio is
        cut.
        """
        self._model = model
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="engine")
        self._long_audio = long_audio
        self._helpers = Helpers(long_audio.threads - 1 if long_audio else 0)
        self._running: dict[Future[Transcription], Job] = {}

    def __repr__(self) -> str:
        """Live counts."""
        return f"WhisperTranscriber(jobs={len(self._running)}, gate={self._model.gate!r})"

    @property
    def info(self) -> ModelInfo:
        """Which model answers, and on what."""
        return self._model.info

    @property
    def busy(self) -> int:
        """Model calls that run now."""
        return self._model.gate.busy

    @property
    def waiting(self) -> int:
        """Model calls that wait for their turn."""
        return self._model.gate.waiting

    def waiting_of(self, lane: Lane) -> int:
        """Those of them that belong to jobs of one lane."""
        return self._model.gate.waiting_of(lane)

    @property
    def context_reruns(self) -> Mapping[str, int]:
        """How many windows needed more than a short context, by reason."""
        return self._model.reruns.counts

    def knows(self, code: str) -> bool:
        """Whether the model supports this language; `auto` always."""
        return code == languages.AUTO or self._model.knows(code)

    def fits_prompt(self, words: str) -> bool:
        """Whether so many hotwords all go into the prompt."""
        return self._model.fits_prompt(words)

    async def transcribe(self, job: Job) -> Transcription:
        """Run one job in a thread. Raises `ModelFailed`, or `JobStopped` after `job.stop` was set.

        Also `RequestFailed` with `bad_request` for languages that this model does not have. Cancelling the caller sets
        `job.stop` and returns at once; the thread ends at the next window, and what it still returns or raises is
        dropped.
        """
        try:
            running = self._executor.submit(self.transcribe_here, job)
        except RuntimeError:  # after close()
            raise JobStopped("the engine is closed") from None
        self._running[running] = job
        running.add_done_callback(self._forget)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            job.stop.set()
            raise

    async def self_test(self) -> None:
        """Transcribe a sung vowel, words and all, with and without voice detection.

        Raises `ModelUnavailable` when that does not work.
        """
        try:
            await self.transcribe(Job(_vowel(), _SELF_TEST))
            await self.transcribe(Job(_vowel(), replace(_SELF_TEST, vad=True)))
        except SttdError as error:
            raise ModelUnavailable(
                f"model {self.info.name!r} fails its self-test on {self.info.device}: {error.message}"
            ) from error
        self._model.reruns.clear()

    async def close(self, seconds: float) -> bool:
        """Stop all jobs and wait for their threads, at most `seconds`.

        False when some still run: they end at their next window. The interpreter waits for them at exit; a process that
        cannot wait ends with `os._exit`.
        """
        for job in list(self._running.values()):  # threads take theirs out meanwhile
            job.stop.set()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._helpers.close()
        left = list(self._running)
        _, late = await asyncio.to_thread(concurrent.futures.wait, left, seconds)
        return not late

    def _forget(self, ended: Future[Transcription]) -> None:
        self._running.pop(ended, None)

    def transcribe_here(self, job: Job) -> Transcription:
        """Run one job in the calling thread, until it is done. Raises what `transcribe` does."""
        try:
            with self._model.gate.job(job):
                return self._transcribe(job)
        except SttdError:
            raise
        except Exception as error:
            raise ModelFailed(f"the model raised {type(error).__name__}") from error

    def _transcribe(self, job: Job) -> Transcription:
        _stop_if_told(job)
        pcm, options = job.pcm, job.options
        self._refuse_unknown_language(options)
        cut = self._cuts(job)
        spans = tuple(self._model.speech.spans(pcm, cut.window_seconds if cut else math.inf)) if options.vad else None
        if not (pcm.size if spans is None else spans):
            return Transcription([], *self._silence(options))
        evenly = self._long_audio is not None and not options.condition_on_previous_text
        packed = packed_windows(pcm, spans, cut=cut, evenly=evenly)
        windows: list[Window] = [*packed] or [None]
        beginning = first_to_hear(windows[0], spans)
        spoken, probability, first = self._language(pcm, beginning, options)
        if windows[0] != beginning:
            first = None
        job.options = options.with_words_for(spoken)
        segments = (
            self._side_by_side(job, pcm, spoken, packed, first)
            if cut and len(packed) > 1
            else self._in_turn(job, pcm, spoken, windows, first)
        )
        rated = self._model.rated(marked(segments), spoken, options)
        return self._judged(pcm, options, Transcription(rated, spoken, probability))

    def _judged(self, pcm: Pcm, options: JobOptions, found: Transcription) -> Transcription:
        """Without what was most probably not said, where that is asked for."""
        if not options.drop_doubtful or not found.segments:
            return found
        kept, dropped = parted(found.segments, None if options.vad else self._model.speech.spans(pcm))
        return replace(found, segments=kept, dropped=dropped)

    def _cuts(self, job: Job) -> LongAudio | None:
        """How to cut this job's audio into windows that run side by side; None where only long pauses part it.

        Without voice detection the silences are unknown, and windows at the same time cannot be conditioned on the text
        before them.
        """
        cut, options = self._long_audio, job.options
        return (
            cut
            if cut and job.audio_seconds > cut.after_seconds and options.vad and not options.condition_on_previous_text
            else None
        )

    def _refuse_unknown_language(self, options: JobOptions) -> None:
        asked = (options.language,) if options.language != languages.AUTO else options.languages
        if asked and not any(self._model.knows(code) for code in asked):
            raise RequestFailed(
                ErrorCode.BAD_REQUEST, f"language: the model {self.info.name} does not support {', '.join(asked)}"
            )

    def _silence(self, options: JobOptions) -> tuple[str, float]:
        return language.of_silence(options) if self._model.multilingual else ("en", 1.0)

    def _language(self, pcm: Pcm, spans: Spans | None, options: JobOptions) -> tuple[str, float, Any]:
        """The language to transcribe in, its probability, and the first window's encoding if detected."""
        if not self._model.multilingual:
            return "en", 1.0, None
        if options.language != languages.AUTO:
            return options.language, 1.0, None
        first = self._model.first_window(pcm if spans is None else Glued(spans).sound(pcm))
        return *language.choose(self._model.languages(first), options), first

    def _in_turn(self, job: Job, pcm: Pcm, spoken: str, windows: list[Window], first: Any) -> list[Segment]:
        """One window after the other, in this thread, each with as much of the text before as is asked for."""
        segments: list[Segment] = []
        for index, window in enumerate(windows):
            options = job.options if index == 0 else replace(job.options, initial_prompt=_prompt(job.options, segments))
            for segment in self._window(job, pcm, spoken, options, window, first if index == 0 else None):
                segments.append(segment.model_copy(update={"id": len(segments)}))
                job.heard_seconds = max(job.heard_seconds, segment.end)
                _report(job, job.heard_seconds / job.audio_seconds, segments)
        return segments

    def _side_by_side(self, job: Job, pcm: Pcm, spoken: str, windows: list[Spans], first: Any) -> list[Segment]:
        """All windows of long audio, in this thread and in those that help."""
        done = _WindowsDone(job, windows)

        def transcribe(index: int) -> None:
            options = job.options if index == 0 else replace(job.options, initial_prompt=None)
            with self._model.gate.job(job):
                encoded = first if index == 0 else None
                done.add(index, list(self._window(job, pcm, spoken, options, windows[index], encoded)))

        self._helpers.transcribe(LongNote(len(windows), transcribe, lambda: job.remaining))
        return done.segments

    def _window(
        self, job: Job, pcm: Pcm, spoken: str, options: JobOptions, window: Window, first: Any
    ) -> Iterator[Segment]:
        """The segments of one window, with times of the audio. The work happens between two of them."""
        glued = None if window is None else Glued(window)
        for raw in self._model.segments(glued.sound(pcm) if glued else pcm, spoken, options, first=first):
            segment = to_segment(raw, number=0, duration=job.audio_seconds)
            _stop_if_told(job)
            yield glued.placed(segment) if glued else segment


class _WindowsDone:
    """The results of one job's windows so far."""

    def __init__(self, job: Job, windows: list[Spans]) -> None:
        self._job = job
        self._seconds = [seconds(window, SAMPLE_RATE) for window in windows]
        self._results: list[list[Segment] | None] = [None] * len(windows)
        self._lock = threading.Lock()

    @property
    def segments(self) -> list[Segment]:
        """In the order of the audio, as far as no window before is missing."""
        return joined(self._results)

    def add(self, index: int, segments: list[Segment]) -> None:
        """One window is done: less remains, and progress is reported, in order and one report at a time."""
        with self._lock:
            self._results[index] = segments
            speech = sum(self._seconds)
            heard_seconds = sum(
                length for length, result in zip(self._seconds, self._results, strict=True) if result is not None
            )
            self._job.heard_seconds = self._job.audio_seconds * heard_seconds / speech
            _report(self._job, heard_seconds / speech, self.segments)


def _prompt(options: JobOptions, before: list[Segment]) -> str | None:
    """Like faster-whisper, only the first window gets the initial prompt."""
    if not options.condition_on_previous_text:
        return None
    return "".join(segment.text for segment in before)[-PROMPT_CHARACTERS:].strip() or None


_SELF_TEST: Final = JobOptions("en", "en", temperatures=(0.0,), vad=False, word_timestamps=True)


def _vowel() -> Pcm:
    """A second with an "o" in it, as a voice makes it; shape (samples,), 16 kHz.

    Its text is short: `base` writes "Oh" in 0.5 core s for both runs; for a tone a loop of 220 tokens, in 8 core s.
    """
    turns = np.cumsum(np.linspace(140, 110, SAMPLE_RATE * 3 // 5)) / SAMPLE_RATE
    overtones = np.arange(1, 25)[:, None]
    strength = sum(1 / (1 + ((125 * overtones - centre) / width) ** 2) for centre, width in VOWEL)
    voice = (strength * np.cos(2 * np.pi * overtones * turns)).sum(axis=0)
    fade = np.minimum(1, np.minimum(np.arange(turns.size) / 800, np.arange(turns.size)[::-1] / 1600))
    return np.pad(0.5 * fade * voice / np.abs(voice).max(), SAMPLE_RATE // 5).astype(np.float32)


def _stop_if_told(job: Job) -> None:
    if job.stop.is_set():
        raise JobStopped("stopped between two windows")


def _report(job: Job, fraction: float, segments: list[Segment]) -> None:
    if job.on_progress is not None:
        job.on_progress(min(fraction, NEARLY_DONE), "".join(segment.text for segment in segments).strip())
