"""The model itself: the only file that imports faster_whisper and ctranslate2 (lazily: the environment must be set first).

Loads one from a directory, never from the network, and puts the gate between faster-whisper and ctranslate2. Never decides
what to transcribe or when.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from consumer.engine import environment
from consumer.engine.gate import Gate
from consumer.engine.segments import RawSegment
from consumer.engine.transcriber import JobOptions
from consumer.errors import ModelUnavailable
from consumer.pcm import SAMPLE_RATE, Pcm
from schemas.reply import ModelInfo

GPU_WORKERS: Final = 4
"""Parallel calls on one GPU: more cost memory each and gain nothing."""

_PREFERRED: Final = {"cpu": ("int8", "float32"), "cuda": ("float16", "float32")}


class GatedModel:
    """What faster-whisper sees as `WhisperModel.model`: ctranslate2's model, each call of it through the gate."""

    def __init__(self, model: Any, gate: Gate) -> None:
        """`model`: a `ctranslate2.models.Whisper`."""
        self._model = model
        self._gate = gate

    is_multilingual = property(lambda self: self._model.is_multilingual)
    n_mels = property(lambda self: self._model.n_mels)
    device = property(lambda self: self._model.device)
    device_index = property(lambda self: self._model.device_index)

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        """Mel frames -> what the decoder reads."""
        return self._gate.run(self._timed("encode", lambda: self._model.encode(*args, **kwargs)))

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Encoded windows -> tokens."""
        return self._gate.run(self._timed("generate", lambda: self._model.generate(*args, **kwargs)))

    def detect_language(self, *args: Any, **kwargs: Any) -> Any:
        """Encoded windows -> the probability of each language."""
        return self._gate.run(self._timed("detect_language", lambda: self._model.detect_language(*args, **kwargs)))

    def align(self, features: Any, start_sequence: Any, text_tokens: Any, num_frames: int, **kwargs: Any) -> Any:
        """Tokens and encoded windows -> when each token was spoken.

        A window of one frame (the last one of a note can be that short) has no place to put a word: ctranslate2 answers with empty
        alignments and faster-whisper 1.2.1 raises IndexError on them. Two frames make one place.
        """
        frames = max(num_frames, 2)
        return self._gate.run(self._timed("align", lambda: self._model.align(features, start_sequence, text_tokens, frames, **kwargs)))

    def _timed(self, name: str, call: Callable[[], Any]) -> Callable[[], Any]:
        """Have the job's timeline tell how long the call waited and took."""
        job = self._gate.current
        return call if job is None else job.timeline.call(name, call)


class LoadedModel:
    """A model in memory. Its methods block and may be called from many threads; each ctranslate2 call passes `gate`."""

    def __init__(self, whisper: Any, *, info: ModelInfo, gate: Gate) -> None:
        """`whisper`: a `faster_whisper.WhisperModel`, whose `model` is wrapped here."""
        whisper.model = GatedModel(whisper.model, gate)
        self._whisper = whisper
        self.info = info
        self.gate = gate

    @property
    def multilingual(self) -> bool:
        """Whether it knows more than English."""
        return bool(self._whisper.model.is_multilingual)

    def knows(self, language: str) -> bool:
        """Whether its vocabulary holds this language (`yue` came with large-v3). An English-only model hears English in all."""
        return not self.multilingual or self._whisper.hf_tokenizer.token_to_id(f"<|{language}|>") is not None

    def speech(self, pcm: Pcm) -> Pcm:
        """What voice-activity detection leaves of the audio; the same as `segments` skips with `options.vad`."""
        vad = importlib.import_module("faster_whisper.vad")
        chunks, _ = vad.collect_chunks(pcm, vad.get_speech_timestamps(pcm))
        return np.concatenate(chunks)

    def languages(self, pcm: Pcm) -> dict[str, float]:
        """The probability of each language that the model knows, from the first 30 s."""
        _, _, probabilities = self._whisper.detect_language(pcm)
        return dict(probabilities)

    def segments(self, pcm: Pcm, language: str, options: JobOptions) -> Iterable[RawSegment]:
        """Transcribe lazily: each step of the iteration computes up to one window of 30 s."""
        segments, _ = self._whisper.transcribe(
            pcm,
            language=language if self.multilingual else "en",
            task=options.task,
            beam_size=options.beam_size,
            temperature=list(options.temperatures),
            condition_on_previous_text=options.condition_on_previous_text,
            initial_prompt=options.initial_prompt,
            hotwords=options.hotwords,
            word_timestamps=options.word_timestamps,
            vad_filter=options.vad,
        )
        return cast("Iterable[RawSegment]", segments)


def load(path: Path, *, name: str, device: str, compute_type: str, slots: int, gate: Gate) -> LoadedModel:
    """Load the model in directory `path`. Blocks for seconds; makes no network call.

    `device`: `auto`, `cpu` or `cuda`; `compute_type`: ctranslate2's name or `auto`; `slots`: calls at a time, one core each on
    a CPU. Raises `ModelUnavailable` when the device, the type or the files are not to be had.
    """
    faster_whisper, ctranslate2 = _libraries()
    device = _device(ctranslate2, device)
    compute_type = _compute_type(ctranslate2, device, compute_type)
    try:
        whisper = faster_whisper.WhisperModel(
            str(path),
            device=device,
            compute_type=compute_type,
            cpu_threads=1,
            num_workers=slots if device == "cpu" else min(slots, GPU_WORKERS),
            local_files_only=True,
        )
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise ModelUnavailable(f"model {name!r} does not load from {path}: {reason or type(error).__name__}") from error
    if whisper.feature_extractor.sampling_rate != SAMPLE_RATE:
        raise ModelUnavailable(f"model {name!r} wants {whisper.feature_extractor.sampling_rate} Hz; Whisper models take {SAMPLE_RATE}")
    info = ModelInfo(
        name=name, engine=f"faster-whisper {faster_whisper.__version__}", device=device, compute_type=whisper.model.compute_type
    )
    return LoadedModel(whisper, info=info, gate=gate)


def _libraries() -> tuple[Any, Any]:
    """Import them with the environment that they read at import; what the operator has set stays."""
    environment.prepare()
    libraries = importlib.import_module("faster_whisper"), importlib.import_module("ctranslate2")
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # its information is per note, ours to say
    return libraries


def _device(ctranslate2: Any, wanted: str) -> str:
    found = bool(ctranslate2.get_cuda_device_count())
    if wanted == "cuda" and not found:
        raise ModelUnavailable("STTD_DEVICE=cuda, but no CUDA device is to be seen here; set STTD_DEVICE=cpu, or give the process a GPU")
    return ("cuda" if found else "cpu") if wanted == "auto" else wanted


def _compute_type(ctranslate2: Any, device: str, wanted: str) -> str:
    supported = ctranslate2.get_supported_compute_types(device)
    if wanted == "auto":
        return next((kind for kind in _PREFERRED[device] if kind in supported), "default")
    if wanted not in supported:
        raise ModelUnavailable(
            f"STTD_COMPUTE_TYPE={wanted} is not to be had on this {device}; one of: auto, {', '.join(sorted(supported))}"
        )
    return wanted
