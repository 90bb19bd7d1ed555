"""The suite with the second engine, run by hand.

Each daemon of a test that names no model has that engine, and each Russian sample is a sound that its model reads
(tone_model.py):

    STTD_TEST_ENGINE=onnx python -m pytest tests/acceptance tests/integration tests/hostile
"""

import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import av
import numpy as np

from sttd import samples
from tests.support import tone_model
from tools.audio.files import encode

NAME = "STTD_TEST_ENGINE"


def chosen() -> bool:
    """Whether the suite runs with it."""
    return os.environ.get(NAME) == "onnx"


def install() -> None:
    """Put the made sounds in place of the samples, for this process. Each test has an environment without `STTD_`."""
    settings()
    if chosen():
        samples.FOLDER = _samples()  # type: ignore[misc] # a constant, but for this


@cache
def settings() -> dict[str, str]:
    """What a daemon of the suite needs for it."""
    return {"engine": "onnx", "model": str(tone_model.build(_folder() / "tones"))} if chosen() else {}


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="sttd-second-engine-"))


def _samples() -> Path:
    """The sounds that it knows the language of; what needs an English one fails for want of it."""
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
