"""From settings to an engine that is ready: resolve, fetch if missing, check, load, self-test.

Never blocks the event loop. The composition root calls it once.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sttd.consumer.engine.files import background, store
from sttd.consumer.engine.files.progress import DownloadProgress, OnProgress
from sttd.consumer.engine.model import loaded as models
from sttd.consumer.engine.model.contexts import FULL, Contexts
from sttd.consumer.engine.model.encoder import Setting as Encoder
from sttd.consumer.engine.model.whisper import WhisperTranscriber
from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.engine.windows import LongAudio
from sttd.consumer.errors import JobStopped

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batching:
    """How many calls may go together on a GPU, and how many seconds one may wait for others."""

    size: int = 16
    seconds: float = 0.02


async def open_engine(
    *,
    model: str,
    cache: Path | None,
    device: str,
    compute_type: str,
    encoder: Encoder = "ctranslate2",
    contexts: Contexts = FULL,
    slots: int,
    threads: int,
    on_progress: OnProgress,
    long_audio: LongAudio | None = None,
    batch: Batching | None = None,
    spare_bytes: int | None = None,
) -> WhisperTranscriber:
    """A transcriber that has passed its self-test. Raises `ModelUnavailable`.

    `spare_bytes`: memory that the comparison of encoders may take for a moment; None for as much as it needs. Without
    `long_audio` no audio is cut into windows. `batch` is for GPUs: on a CPU batches cost more than they gain.
    `on_progress` is called during a download, in other threads. Cancelling ends a download at its next report; what is
    there stays for the next try.
    """
    path = await _fetched(model, cache, on_progress)
    gate = Scheduler(slots)
    loaded = await asyncio.to_thread(
        lambda: models.load(
            path,
            name=model,
            device=device,
            compute_type=compute_type,
            slots=slots,
            gate=gate,
            encoding=encoder,
            contexts=contexts,
            findings=cache / "encoders" if cache else None,
            spare_bytes=spare_bytes,
        )
    )
    if loaded.info.device == "cuda":
        limits = batch or Batching()
        gate.coalesce(min(slots, models.GPU_WORKERS), batch=limits.size, hold=limits.seconds)
    transcriber = WhisperTranscriber(loaded, threads=threads, long_audio=long_audio)
    await transcriber.self_test()
    _settle()
    return transcriber


def _settle() -> None:
    """Exclude what is loaded by now, which lives as long as the process, from garbage collection.

    With it a full collection takes 45 ms, in which neither the event loop nor any note's thread runs; without it next
    to nothing.
    """
    gc.collect()
    gc.freeze()


async def _fetched(model: str, cache: Path | None, on_progress: OnProgress) -> Path:
    cancelled = threading.Event()

    def report(progress: DownloadProgress) -> None:
        if cancelled.is_set():
            raise JobStopped("the download was cancelled")
        on_progress(progress)

    try:
        return await _abandonable(lambda: store.fetch(model, cache, report))
    finally:
        cancelled.set()


async def _abandonable(call: Callable[[], T]) -> T:
    """Await a call that may hang in the network: cancelled, it is left behind in its daemon thread."""
    return await asyncio.wrap_future(background.start(call, name="model-fetch"))
