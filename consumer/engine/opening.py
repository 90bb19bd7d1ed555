"""From settings to an engine that is ready: resolve, fetch if missing, check, load, self-test.

The daemon, `sttd size --measure`, `sttd bench` and the benchmark all open their engine here.
"""

import asyncio
import gc
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

from sttd.consumer import machine
from sttd.consumer.engine import environment
from sttd.consumer.engine.files import layouts, store
from sttd.consumer.engine.files.download_progress import DownloadProgress, OnProgress
from sttd.consumer.engine.model import loaded as models
from sttd.consumer.engine.model.contexts import CONTEXTS, Contexts
from sttd.consumer.engine.model.encoder import Setting as Encoder
from sttd.consumer.engine.model.whisper import WhisperTranscriber
from sttd.consumer.engine.onnx import ctc
from sttd.consumer.engine.onnx.onnx_engine import OnnxTranscriber
from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.engine.threaded import SpeechEngine
from sttd.consumer.engine.windows import LongAudio
from sttd.consumer.errors import JobStopped
from sttd.consumer.settings import EngineName, Settings
from sttd.service import background

BATCH_SECONDS: Final = 0.02
"""Longest wait of a call for its batch while the GPU is busy."""

LONG_SECONDS, WINDOW_SECONDS = 60.0, 30.0
"""Audio from the one length on is cut into windows of the other, which is what Whisper takes at a time."""

TOGETHER: Final = 4
"""Short windows that a CPU decodes as one batch, at most. A fifth gains little and makes four others wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How an engine is opened.

    `model`: what `layouts.of` of the engine knows; `cache`: where downloads and findings are kept, None for this
    user's; `contexts`: None for what was measured to be enough for the model; `slots`: model calls at a time;
    `threads`: notes at a time, most of them waiting; `long_audio`: None cuts no audio into windows; `batch`: calls
    that may go together on a GPU.
    """

    model: str
    slots: int
    engine: EngineName = "whisper"
    threads: int
    cache: Path | None = None
    device: str = "auto"
    compute_type: str = "auto"
    encoder: Encoder = "auto"
    contexts: Contexts | None = None
    long_audio: LongAudio | None = None
    batch: int = 16

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The daemon's. Whoever measures or compares the daemon's engine takes the same."""
        slots = settings.effective_slots
        windows = LongAudio(LONG_SECONDS, WINDOW_SECONDS, slots)
        return cls(
            model=settings.model,
            slots=slots,
            engine=settings.engine,
            threads=settings.notes_in_hand,
            cache=settings.model_cache,
            device=settings.device,
            compute_type=settings.compute_type,
            encoder=settings.encoder,
            contexts=CONTEXTS[settings.encoder_context],
            long_audio=windows if settings.long_audio == "windows" else None,
            batch=settings.batch_size,
        )


async def open_engine(options: EngineOptions, *, on_progress: OnProgress = lambda _: None) -> SpeechEngine:
    """A transcriber that has passed its self-test. Raises `ModelUnavailable`.

    `on_progress` is called with the progress of a download, in other threads. Cancelling ends a download at its next
    report; what is there stays for the next try.
    """
    path = await _fetched(options, on_progress)
    gate = Scheduler(options.slots)
    engine = await (_onnx(options, path, gate) if options.engine == "onnx" else _whisper(options, path, gate))
    await engine.self_test()
    _settle()
    return engine


async def _whisper(options: EngineOptions, path: Path, gate: Scheduler) -> SpeechEngine:
    loaded = await asyncio.to_thread(load, options, path, gate)
    if loaded.info.device == "cuda":
        workers = min(options.slots, models.GPU_WORKERS)
        gate.coalesce(workers, batch=options.batch, hold=BATCH_SECONDS)
    else:
        gate.coalesce(options.slots, batch=TOGETHER, hold=0.0)
    return WhisperTranscriber(loaded, threads=options.threads, long_audio=options.long_audio)


async def _onnx(options: EngineOptions, path: Path, gate: Scheduler) -> SpeechEngine:
    """Calls are not coalesced: on a CPU a window alone fills its slot, and a shorter one is filled up."""
    kind, weights = layouts.OnnxLayout(options.model, options.compute_type).found(path)
    loaded = await asyncio.to_thread(ctc.load, path, kind, weights, name=options.model, gate=gate)
    cut = options.long_audio
    return OnnxTranscriber(
        loaded,
        await asyncio.to_thread(models.detector),
        threads=options.threads,
        helpers=cut.threads - 1 if cut else 0,
        window_seconds=cut.window_seconds if cut else kind.longest,
    )


def load(options: EngineOptions, path: Path, gate: Scheduler) -> models.LoadedModel:
    """The model in directory `path` behind a gate. Blocks for seconds. Raises `ModelUnavailable`."""
    return models.load(
        path,
        name=options.model,
        device=options.device,
        compute_type=options.compute_type,
        slots=options.slots,
        gate=gate,
        encoding=options.encoder,
        contexts=options.contexts,
        findings=options.cache / "encoders" if options.cache else None,
        spare_bytes=machine.available_bytes(),
    )


def _settle() -> None:
    """Free what loading needed, and exclude what lives as long as the process from garbage collection.

    With it a full collection takes 45 ms, in which neither the event loop nor any note's thread runs; without it next
    to nothing.
    """
    gc.collect()
    gc.freeze()
    environment.give_back()


async def _fetched(options: EngineOptions, on_progress: OnProgress) -> Path:
    layout = layouts.of(options.model, options.engine, options.compute_type)
    cancelled = threading.Event()

    def report(progress: DownloadProgress) -> None:
        if cancelled.is_set():
            raise JobStopped("the download was cancelled")
        on_progress(progress)

    try:
        # It may hang in the network: cancelled, it is left behind in its daemon thread.
        fetch = partial(store.fetch, options.model, options.cache, report, layout)
        return await asyncio.wrap_future(background.start(fetch, name="model-fetch"))
    finally:
        cancelled.set()
