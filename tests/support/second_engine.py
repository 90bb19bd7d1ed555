"""The suites with the second engine: `make test ENGINE=onnx`, which sets STTD_TEST_ENGINE.

Each daemon of a test that names no model has that engine, and each Russian sample is a sound that its model reads
(tone_model.py). What cannot be asked of it is skipped, with the rule of docs/engines.md as the reason.
"""

import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from sttd import samples
from tests.support import tone_model
from tools.audio.files import encode

NAME = "STTD_TEST_ENGINE"
LANGUAGE = "language: it writes Russian only"
TASK = "task: translate is refused"
CALLS = "windows: each is one call, alone"
SOUNDS = "the made sounds have words for its model only, and Whisper hears them here"


@cache
def chosen() -> bool:
    """Whether the suite runs with it. Known from before the first test: each has an environment without `STTD_`."""
    return os.environ.get(NAME) == "onnx"


def left_out(reason: str) -> pytest.MarkDecorator:
    """Mark what only the first engine can be asked for; `reason`: the rule."""
    return pytest.mark.skipif(chosen(), reason=f"second engine: {reason}")


def install() -> None:
    """Put the made sounds in place of the samples, for this process."""
    settings()
    if chosen():
        samples.FOLDER = _samples()  # type: ignore[misc] # a constant, but for this


@cache
def settings() -> dict[str, str]:
    """What a daemon of the suite needs for it."""
    return {"engine": "onnx", "model": str(tone_model.build(_folder() / "tones"))} if chosen() else {}


def model() -> str:
    """The name of the model of each daemon of the suite."""
    return settings().get("model", "demo")


def health_model() -> str:
    """The same as `/health` tells it."""
    return f"{settings().get('engine', 'whisper')}-{Path(model()).name}"


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="sttd-second-engine-"))


def _samples() -> Path:
    """The sounds that it knows the language of."""
    folder = Path(shutil.copytree(samples.FOLDER, _folder() / "samples"))
    manifest = folder / "manifest.json"
    listed = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps([one for one in listed if one["language"] != "en"]), encoding="utf-8")
    for sample in samples.samples():
        if sample.language == "ru" and sample.expect == "text":
            (folder / sample.file).write_bytes(_opus(letters(sample.text)))
    return folder


def letters(text: str) -> str:
    """A text as the model writes it."""
    plain = "".join(one if one in tone_model.ALPHABET else " " for one in text.lower().replace("ё", "е"))
    return " ".join(plain.split())


def _opus(text: str) -> bytes:
    """The words of a text with a rest after every tenth, as a person breathes."""
    said = text.split()
    parts = [
        piece
        for begin in range(0, len(said), 10)
        for piece in (tone_model.spoken(" ".join(said[begin : begin + 10]) + " ", rate=2).sound, tone_model.pause(0.6))
    ]
    return encode("ogg", "libopus", 48_000, "mono", _resampled(np.concatenate(parts)))


def _resampled(sound: tone_model.Sound) -> tone_model.Sound:
    resampler = av.AudioResampler("flt", "mono", 48_000)
    frame = av.AudioFrame.from_ndarray(sound[None, :], "flt", "mono")
    frame.sample_rate = tone_model.RATE
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([one.to_ndarray()[0] for one in frames]).astype(np.float32)
