"""One mode, opened: audio in, an answer with its core seconds out.

Runs in a process of its own, one model call at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from structlog.testing import capture_logs

from bench.accuracy.modes import SEED, Mode, Note
from sttd.consumer.engine import environment

if TYPE_CHECKING:
    from sttd.consumer.engine.opening import EngineOptions

Answer = dict[str, Any]
SEGMENT_FIGURES: Final = ("start", "end", "avg_logprob", "no_speech_prob", "compression_ratio")
"""Of each segment in an answer, before its text."""


class Opened:
    """A loaded mode. `engine`: which libraries and arithmetic answer, in words."""

    def __init__(self, mode: Mode, model: Path) -> None:
        """Load the model in directory `model`. Blocks for seconds. Raises `ModelUnavailable`, `EncoderUnavailable`."""
        environment.prepare()
        import ctranslate2  # noqa: PLC0415 - after the environment is set

        ctranslate2.set_random_seed(SEED)
        self.engine, self._transcribe = _stock(mode, model) if mode.stock else _ours(mode, model)
        self.engine += f", ctranslate2 {ctranslate2.__version__}"

    def answer(self, note: Note) -> Answer:
        """Transcribe one note. Core seconds are those of the whole process, so nothing else may run in it."""
        audio = note.audio()
        began = time.process_time()
        found = self._transcribe(note, audio)
        return found | {"core_seconds": time.process_time() - began}


def _stock(mode: Mode, model: Path) -> tuple[str, Callable[[Note, Any], Answer]]:
    from faster_whisper import WhisperModel  # noqa: PLC0415 - after the environment is set

    whisper = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=1, num_workers=1)

    def transcribe(note: Note, audio: Any) -> Answer:
        language = None if note.language == "auto" else note.language
        found, info = whisper.transcribe(audio, language=language, beam_size=5, vad_filter=mode.stock_vad)
        segments = list(found)
        return _told(segments, info.language) | {"temperature": max((one.temperature for one in segments), default=0.0)}

    return f"faster-whisper {version('faster-whisper')}", transcribe


def _ours(mode: Mode, model: Path) -> tuple[str, Callable[[Note, Any], Answer]]:
    from sttd.consumer.engine.opening import open_engine  # noqa: PLC0415 - after the environment is set
    from sttd.consumer.engine.transcriber import Job, JobOptions  # noqa: PLC0415 - the same

    engine = _exactly(mode, model) if mode.arithmetic else asyncio.run(open_engine(_options(mode, model)))
    asked = partial(JobOptions, beam_size=mode.beam, vad=mode.vad, hotwords=mode.hotwords, word_timestamps=mode.words)

    def transcribe(note: Note, audio: Any) -> Answer:
        before = Counter(engine.context_reruns)
        language = "auto" if mode.auto else note.language
        with capture_logs() as logged:
            found = engine.transcribe_here(Job(audio, asked(language, "ru")))
        return (
            _told(found.segments, found.language)
            | _words(found.segments)
            | {
                "reruns": dict(Counter(engine.context_reruns) - before),
                "without_hotwords": [line["reason"] for line in logged if line.get("action") == "hotwords"],
            }
        )

    arithmetic = f" in {mode.arithmetic}" if mode.arithmetic else ""
    return f"sttd {version('sttd')}, {engine.info.engine}{arithmetic}", transcribe


def _told(segments: Any, language: str) -> Answer:
    return {
        "text": "".join(one.text for one in segments).strip(),
        "language": language,
        "segments": [[*(round(getattr(one, name), 3) for name in SEGMENT_FIGURES), one.text] for one in segments],
    }


def _words(segments: Any) -> Answer:
    """Of each segment its words with their probabilities, where they were asked for."""
    if not segments or segments[0].words is None:
        return {}
    return {"words": [[[word.word, round(word.probability, 4)] for word in one.words or ()] for one in segments]}


def _options(mode: Mode, model: Path) -> EngineOptions:
    """The daemon's with one slot, and what the mode changes."""
    from bench.settings import PlainSettings  # noqa: PLC0415 - after the environment is set
    from sttd.consumer.engine.opening import EngineOptions  # noqa: PLC0415 - the same

    settings = PlainSettings(
        engine=mode.engine or "whisper",
        model=str(model),
        device="cpu",
        compute_type=mode.compute_type,
        encoder=mode.encoder,
        encoder_context=mode.context,
        slots=1,
        long_audio="windows" if mode.long_windows else "sequential",
    )
    return EngineOptions.from_settings(settings)


def _exactly(mode: Mode, model: Path) -> Any:
    """With OpenVINO's encoder in one arithmetic, also where the daemon's self-test would not take it."""
    import ctranslate2  # noqa: PLC0415 - after the environment is set
    from faster_whisper import WhisperModel  # noqa: PLC0415 - the same

    from sttd.consumer.engine.model import encoder, graph, loaded, weights, whisper  # noqa: PLC0415 - the same
    from sttd.consumer.engine.schedule import scheduler  # noqa: PLC0415 - the same
    from sttd.schemas.reply import ModelInfo  # noqa: PLC0415 - the same

    assert mode.arithmetic is not None
    compiled = graph.CompiledEncoder(weights.EncoderFile(model / "model.bin"), mode.arithmetic, 1)
    stock = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=1, num_workers=1)
    stock.model = encoder.EncodingModel(stock.model, compiled, ctranslate2.StorageView.from_array)
    info = ModelInfo(name="bench", engine=compiled.name, device="cpu", compute_type="int8")
    return whisper.WhisperTranscriber(
        loaded.LoadedModel(stock, info=info, gate=scheduler.Scheduler(1)),
        threads=1,
        long_audio=_options(mode, model).long_audio,
    )
