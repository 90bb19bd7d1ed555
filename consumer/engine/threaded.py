"""What every engine does around its model: a thread for each note, windows side by side, stopping, closing.

The event loop only awaits. Third-party exceptions leave as `ModelFailed`.
"""

import asyncio
import concurrent.futures
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from sttd.consumer.engine.abilities import Abilities
from sttd.consumer.engine.glue import Spans
from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.engine.transcriber import Job, Transcription
from sttd.consumer.engine.windows import Helpers, LongNote, joined, length
from sttd.consumer.errors import JobStopped, ModelFailed, ModelUnavailable, SttdError
from sttd.schemas.reply import ModelInfo, Segment

NEARLY_DONE: Final = 0.99
"""The largest fraction that a progress report names: 1 is the transcript itself."""


class SpeechEngine(ABC):
    """A `Transcriber` as the daemon opens, watches and closes it."""

    def __init__(self, gate: Scheduler, *, info: ModelInfo, abilities: Abilities, threads: int, helpers: int) -> None:
        """Keep the arguments.

        `threads`: notes at a time, most of them waiting at the gate (the prefetch); `helpers`: further threads for
        notes of many windows.
        """
        self.info = info
        self.abilities = abilities
        self.gate = gate
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="engine")
        self._helpers = Helpers(helpers)
        self._running: dict[Future[Transcription], Job] = {}

    @abstractmethod
    def _transcribe(self, job: Job) -> Transcription:
        """Run one job in the calling thread, which belongs to it at the gate. May raise anything."""

    @property
    def context_reruns(self) -> Mapping[str, int]:
        """How many windows were computed again with more context, by reason."""
        return {}

    def fits_prompt(self, words: str) -> bool:  # noqa: ARG002 - for those that use some
        """Whether so many hotwords are all used; an engine that uses none cuts none."""
        return True

    async def transcribe(self, job: Job) -> Transcription:
        """Run one job in a thread. Raises `ModelFailed`, or `JobStopped` after `job.stop` was set.

        Also `RequestFailed` with `bad_request` for what this engine cannot do. Cancelling the caller sets `job.stop`
        and returns at once; the thread ends at the next window, and what it still returns or raises is dropped.
        """
        try:
            running = self._executor.submit(self.transcribe_here, job)
        except RuntimeError:  # after close()
            raise JobStopped("the engine is closed") from None
        self._running[running] = job
        running.add_done_callback(lambda ended: self._running.pop(ended, None))
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            job.stop.set()
            raise

    def transcribe_here(self, job: Job) -> Transcription:
        """Run one job in the calling thread, until it is done. Raises what `transcribe` does."""
        try:
            with self.gate.job(job):
                job.stop_if_told()
                self.abilities.refuse(job.options)
                return self._transcribe(job)
        except SttdError:
            raise
        except Exception as error:
            raise ModelFailed(f"the model raised {type(error).__name__}") from error

    async def self_test(self, *jobs: Job) -> None:
        """Run each. Raises `ModelUnavailable` when that does not work."""
        try:
            for job in jobs:
                await self.transcribe(job)
        except SttdError as error:
            raise ModelUnavailable(
                f"model {self.info.name!r} fails its self-test on {self.info.device}: {error.message}"
            ) from error

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

    def _side_by_side(
        self, job: Job, windows: list[Spans], segments_of: Callable[[int], Iterable[Segment]]
    ) -> list[Segment]:
        """All windows of one note, in this thread and in those that help.

        `segments_of(index)`: those of one window, with times of the audio.
        """
        done = _WindowsDone(job, windows)

        def transcribe(index: int) -> None:
            with self.gate.job(job):
                done.add(index, list(segments_of(index)))

        self._helpers.transcribe(LongNote(len(windows), transcribe, lambda: job.remaining))
        return done.segments


class _WindowsDone:
    """The results of one job's windows so far."""

    def __init__(self, job: Job, windows: list[Spans]) -> None:
        self._job = job
        self._lengths = [length(window) for window in windows]
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
            done = (size for size, result in zip(self._lengths, self._results, strict=True) if result is not None)
            share = sum(done) / sum(self._lengths)
            self._job.heard_seconds = self._job.audio_seconds * share
            report(self._job, share, self.segments)


def report(job: Job, fraction: float, segments: Iterable[Segment]) -> None:
    """Tell whoever waits for the job how far it is, and its text so far."""
    if job.on_progress is not None:
        job.on_progress(min(fraction, NEARLY_DONE), "".join(segment.text for segment in segments).strip())
