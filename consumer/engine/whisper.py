"""The transcriber: a thread per message, each running faster-whisper's own `transcribe` through the gate.

Imports the engine's other files, schemas and consumer.errors; never faster_whisper, never the network. The event loop only
awaits. Third-party exceptions leave as `ModelFailed`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Final

import numpy as np

from consumer.engine import language
from consumer.engine.guards import marked
from consumer.engine.model import LoadedModel
from consumer.engine.segments import to_segment
from consumer.engine.transcriber import Job, JobOptions, Transcription
from consumer.errors import JobStopped, ModelFailed, ModelUnavailable, RequestFailed, SttdError
from consumer.pcm import SAMPLE_RATE, Pcm
from schemas import languages
from schemas.codes import ErrorCode
from schemas.reply import ModelInfo, Segment

NEARLY_DONE: Final = 0.99
"""The largest fraction that a progress report names: 1 is the transcript itself."""

SELF_TEST_LOUDNESS: Final = 0.01


class WhisperTranscriber:
    """Implements `Transcriber` with one loaded model."""

    def __init__(self, model: LoadedModel, *, threads: int) -> None:
        """`threads`: messages at a time, most of them waiting at the gate (the prefetch)."""
        self._model = model
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="engine")
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

    def knows(self, code: str) -> bool:
        """Whether the model can be asked for this language; `auto` always."""
        return code == languages.AUTO or self._model.knows(code)

    async def transcribe(self, job: Job) -> Transcription:
        """Run one job in a thread. Raises `ModelFailed`, or `JobStopped` after `job.stop` was set.

        Also `RequestFailed` with `bad_request` for languages that this model does not know. Cancelling the caller sets `job.stop`
        and returns at once; the thread ends at the next window, and what it still returns or raises is dropped.
        """
        try:
            running = self._executor.submit(self._run, job)
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
        """Transcribe a second of faint sound, words and all, with and without voice detection.

        Raises `ModelUnavailable` when that does not work.
        """
        try:
            await self.transcribe(Job(_faint_sound(), _SELF_TEST))
            await self.transcribe(Job(_faint_sound(), replace(_SELF_TEST, vad=True)))
        except SttdError as error:
            raise ModelUnavailable(f"model {self.info.name!r} fails its self-test on {self.info.device}: {error.message}") from error

    async def close(self, seconds: float) -> bool:
        """Stop all jobs and wait for their threads, at most so long. False when some still run: they end at their next window.

        The interpreter waits for them at exit; whoever cannot wait ends the process with `os._exit`.
        """
        for job in list(self._running.values()):  # threads take theirs out meanwhile
            job.stop.set()
        self._executor.shutdown(wait=False, cancel_futures=True)
        left = list(self._running)
        _, late = await asyncio.to_thread(concurrent.futures.wait, left, seconds)
        return not late

    def _forget(self, ended: Future[Transcription]) -> None:
        self._running.pop(ended, None)

    def _run(self, job: Job) -> Transcription:
        """In a thread of the executor."""
        try:
            with self._model.gate.job(job):
                return self._transcribe(job)
        except SttdError:
            raise
        except Exception as error:
            raise ModelFailed(f"the model raised {type(error).__name__}") from error

    def _transcribe(self, job: Job) -> Transcription:
        _stop_if_told(job)
        pcm, options = _finite(job.pcm), job.options
        self._refuse_unknown_language(options)
        if not pcm.size:
            return Transcription([], *self._silence(options))
        spoken, probability = self._language(pcm, options)
        if spoken is None:
            return Transcription([], *self._silence(options))
        return Transcription(marked(self._segments(job, pcm, spoken)), spoken, probability)

    def _refuse_unknown_language(self, options: JobOptions) -> None:
        asked = (options.language,) if options.language != languages.AUTO else options.languages
        if asked and not any(self._model.knows(code) for code in asked):
            raise RequestFailed(ErrorCode.BAD_REQUEST, f"language: the model {self.info.name} does not know {', '.join(asked)}")

    def _silence(self, options: JobOptions) -> tuple[str, float]:
        return language.of_silence(options) if self._model.multilingual else ("en", 1.0)

    def _language(self, pcm: Pcm, options: JobOptions) -> tuple[str | None, float]:
        """The language to transcribe in; None when it was to be detected and nobody speaks."""
        if not self._model.multilingual:
            return "en", 1.0
        if options.language != languages.AUTO:
            return options.language, 1.0
        speech = self._model.speech(pcm) if options.vad else pcm
        if not speech.size:
            return None, 0.0
        return language.choose(self._model.languages(speech), options)

    def _segments(self, job: Job, pcm: Pcm, spoken: str) -> list[Segment]:
        """Consume the lazy transcription: the work happens in this loop."""
        duration = pcm.size / SAMPLE_RATE
        segments: list[Segment] = []
        for raw in self._model.segments(pcm, spoken, job.options):
            segments.append(to_segment(raw, number=len(segments), duration=duration))
            _stop_if_told(job)
            _report(job, segments, duration)
        return segments


_SELF_TEST: Final = JobOptions(
    language="en",
    default_language="en",
    languages=None,
    task="transcribe",
    beam_size=5,
    temperatures=(0.0,),
    vad=False,
    word_timestamps=True,
    condition_on_previous_text=False,
    initial_prompt=None,
    hotwords=None,
)


def _faint_sound() -> Pcm:
    """A second of a soft rising tone."""
    seconds = np.arange(SAMPLE_RATE, dtype=np.float32) / SAMPLE_RATE
    return (SELF_TEST_LOUDNESS * np.sin(2 * np.pi * (200 + 200 * seconds) * seconds)).astype(np.float32)


def _finite(pcm: Pcm) -> Pcm:
    """Float formats can carry NaN; a single one makes the model repeat one token to the end of the window."""
    return pcm if np.isfinite(pcm).all() else np.nan_to_num(pcm, nan=0.0, posinf=0.0, neginf=0.0)


def _stop_if_told(job: Job) -> None:
    if job.stop.is_set():
        raise JobStopped("stopped between two windows")


def _report(job: Job, segments: list[Segment], duration: float) -> None:
    if job.on_progress is not None:
        heard = max(segment.end for segment in segments)
        job.on_progress(min(heard / duration, NEARLY_DONE), "".join(segment.text for segment in segments).strip())
