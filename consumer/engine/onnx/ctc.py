"""The model itself: the only file that imports onnx_asr and onnxruntime.

The imports are lazy. Loads a model from a directory, never from the network: onnx-asr would download into a directory
that is not there, so the files are looked at before. Never decides what to transcribe or when.
"""

import importlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from sttd.consumer.engine.abilities import Abilities
from sttd.consumer.engine.files.layouts import OnnxModel
from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.errors import ModelMisconfigured, ModelUnavailable, first_line
from sttd.consumer.pcm import SAMPLE_RATE, Pcm, floats
from sttd.schemas.reply import ModelInfo

LEAST: Final = SAMPLE_RATE // 10
"""Samples: onnx-asr fails on less than one frame of the spectrogram. Shorter sounds are filled up with silence."""

STAGE: Final = "encode"
"""What timelines and metrics call the only call of a window: an encoder with a layer on top."""


@dataclass(frozen=True, slots=True)
class CtcToken:
    """What the model wrote at one place: a letter or some; a space begins a word.

    `start`: seconds from the start of the sound; `logprob`: of its frames together.
    """

    text: str
    start: float
    logprob: float


@dataclass(frozen=True, slots=True)
class Recognized:
    """The text of one sound, as onnx-asr writes it, and the tokens that it was made of."""

    text: str
    tokens: tuple[CtcToken, ...]


class CtcModel:
    """A model in memory. Its methods block and may be called from many threads; each call passes `gate`."""

    def __init__(self, adapter: Any, kind: OnnxModel, *, info: ModelInfo, gate: Scheduler) -> None:
        """`adapter`: what `onnx_asr.load_model` gave."""
        self._timed = adapter.with_timestamps()
        self.info = info
        self.longest = kind.longest
        self.gate = gate
        self.abilities = Abilities(
            engine="onnx",
            model=info.name,
            languages=kind.languages,
            translates=False,
            hints=frozenset(),
            word_times=True,
        )

    def recognize(self, sound: Pcm) -> Recognized:
        """One window in one call.

        `sound`: mono, shape (samples,), 16 kHz, at most `longest` seconds.
        """
        found = self.gate.run(lambda: self._timed.recognize(_filled(sound)), name=STAGE, begins=True)
        tokens = zip(found.tokens or (), found.timestamps or (), found.logprobs or (), strict=True)
        return Recognized(found.text, tuple(CtcToken(text, float(start), float(log)) for text, start, log in tokens))


def _filled(sound: Pcm) -> Any:
    whole = floats(sound)
    return np.pad(whole, (0, LEAST - whole.size)) if whole.size < LEAST else whole


def load(path: Path, kind: OnnxModel, weights: str, *, name: str, gate: Scheduler) -> CtcModel:
    """Load the model in directory `path`, which has all of its files. Blocks for seconds; makes no network call.

    `kind`, `weights`: what `OnnxLayout.found` says of the directory. Raises `ModelUnavailable`.
    """
    onnx_asr, onnxruntime = _libraries()
    _refuse_another_version(path, kind, name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a slot is one core
    try:
        adapter = onnx_asr.load_model(
            kind.name,
            path,
            quantization="int8" if weights == "int8" else None,
            sess_options=options,
            providers=["CPUExecutionProvider"],
        )
    except Exception as error:
        raise ModelUnavailable(
            f"model {name!r} does not load from {path}: {first_line(error)}; if its files are damaged, "
            "fetch or copy them again"
        ) from error
    version = importlib.metadata.version("onnx-asr")
    info = ModelInfo(name=name, engine=f"onnx-asr {version} {kind.name}", device="cpu", compute_type=weights)
    return CtcModel(adapter, kind, info=info, gate=gate)


def _libraries() -> tuple[Any, Any]:
    try:
        return importlib.import_module("onnx_asr"), importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ModelMisconfigured(
            'STTD_ENGINE=onnx needs onnx-asr: `pip install ".[consumer,onnx]"` in the folder of sttd, or set '
            "STTD_ENGINE=whisper"
        ) from error


def _refuse_another_version(path: Path, kind: OnnxModel, name: str) -> None:
    """Without the version onnx-asr takes the spectrogram of an older model: wrong texts, and no error."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        version = config.get("version")
    except (OSError, ValueError, AttributeError):
        version = None
    if version != kind.version:
        raise ModelUnavailable(
            f"model {name!r}: config.json in {path} does not name the version {kind.version}; fetch or copy it again"
        )
