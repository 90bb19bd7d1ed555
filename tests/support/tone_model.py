"""A CTC model that reads letters from tones. NOT a speech model: it shows that nothing is lost around one.

It has exactly the files, tensor names, shapes and vocabulary of GigaAM v3 CTC as onnx-asr loads it: `config.json`,
`v3_ctc.onnx` (`features` [batch, 64, frames] and `feature_lengths` to `log_probs` [batch, frames / 4, 34]) and
`v3_vocab.txt`. Its one layer looks at 12 of the 64 bands of the spectrogram; two of them together are a letter. So a
made sound has one right text, to the letter, and each letter a known time.
"""

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from sttd.samples import FOLDER

RATE: Final = 16_000
MELS: Final = 64
STRIDE: Final = 4
"""Frames of the spectrogram, 10 ms each, to one of the model."""

VOCABULARY: Final = ("\u2581", *(chr(ord("а") + number) for number in range(32)), "<blk>")
"""GigaAM's: a space, the letters without `ё`, and the blank. The SHA-256 of the file is that of the real one."""

ALPHABET: Final = "".join(VOCABULARY[1:-1]) + " "
"""The letters that the model can hear: all."""

LOW: Final = (47, 48, 49, 50, 51, 52)
HIGH: Final = (55, 56, 57, 58, 59, 60)
"""Bands; one of each is a letter. All are above the voice."""

CONFIG: Final = {
    "model_type": "gigaam",
    "version": "v3",
    "features_size": 64,
    "subsampling_factor": STRIDE,
    "max_tokens_per_step": 3,
}

LETTER: Final = 0.16
"""Seconds from one letter to the next: a multiple of the model's frame. Its tones last for the first half, so that
equal letters stay apart."""
MARGIN: Final = 0.48
"""Seconds of voice before the first letter and after the last: voice detection is late now and then."""
LOUDNESS: Final = 0.02
VOICE: Final = FOLDER / "ru-long.ogg"
PIECE: Final = RATE // 50
HIGHEST: Final = 3_000
"""Hz: the voice stays below the tones."""
THRESHOLD: Final = -3.0
"""Sum of the logarithms of both bands' power above which there is a letter: 8 dB below that of a whole frame of it."""
SHARP: Final = 2.0
"""How far the logits of a tone are from each other."""
NEVER: Final = -60.0

Sound = NDArray[np.float32]


def build(directory: Path, *, int8: bool = False, vocabulary: Iterable[str] = VOCABULARY) -> Path:
    """Write the model into `directory` and return it. `int8`: under the name of quantized weights; they are not."""
    directory.mkdir(parents=True, exist_ok=True)
    weights, bias = _layer()
    name = "v3_ctc.int8.onnx" if int8 else "v3_ctc.onnx"
    (directory / name).write_bytes(_model(weights, bias))
    lines = (f"{token} {number}\n" for number, token in enumerate(vocabulary))
    (directory / "v3_vocab.txt").write_text("".join(lines), encoding="utf-8")
    (directory / "config.json").write_text(json.dumps(CONFIG, indent=4), encoding="utf-8")
    return directory


def babble(directory: Path, seed: int = 0) -> Path:
    """The same with random weights: any sound has a text, which means nothing."""
    build(directory)
    random = np.random.default_rng(seed)
    weights = random.normal(0, 0.12, (len(VOCABULARY), MELS)).astype(np.float32)
    bias = random.normal(0, 0.1, len(VOCABULARY)).astype(np.float32)
    bias[-1] += 2.0
    (directory / "v3_ctc.onnx").write_bytes(_model(weights, bias))
    return directory


def _layer() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    weights = np.zeros((len(VOCABULARY), MELS), np.float32)
    bias = np.full(len(VOCABULARY), NEVER, np.float32)
    bias[-1] = SHARP * THRESHOLD
    for letter in ALPHABET:
        token = VOCABULARY.index("\u2581" if letter == " " else letter)
        weights[token, bands(letter)] = SHARP
        bias[token] = 0.0
    return weights, bias


# -- sounds


@dataclass(frozen=True, slots=True)
class Made:
    """A sound with one right text. `starts`: seconds at which each letter of the text begins, spaces too."""

    sound: Sound
    text: str
    starts: tuple[float, ...]


def spoken(text: str, *, rate: float = 1.0, volume: float = 1.0) -> Made:
    """Two tones for each letter of the text, above a voice.

    `rate`: how many times as fast, at most 2; `volume`: of the voice.
    """
    step = LETTER / rate
    seconds = 2 * MARGIN + step * len(text)
    sound = volume * _voice(seconds)
    starts = tuple(MARGIN + step * place for place in range(len(text)))
    for start, letter in zip(starts, text, strict=True):
        at = np.arange(int(step / 2 * RATE)) / RATE
        low, high = (np.sin(2 * np.pi * hertz(band) * at) for band in bands(letter))
        tone = LOUDNESS * (low + high)
        begin = round(start * RATE)
        sound[begin : begin + tone.size] += tone
    return Made(sound.astype(np.float32), text, starts)


def bands(letter: str) -> list[int]:
    """The two of a letter."""
    low, high = divmod(ALPHABET.index(letter), len(HIGH))
    return [LOW[low], HIGH[high]]


def hertz(band: int) -> float:
    """The middle of a band."""
    highest = 2595 * math.log10(1 + RATE / 2 / 700)
    return float(700 * (10 ** (highest * (band + 1) / (MELS + 1) / 2595) - 1))


def pause(seconds: float) -> Sound:
    """Silence."""
    return np.zeros(round(seconds * RATE), np.float32)


def words(random: np.random.Generator, count: int) -> str:
    """So many made words, parted by spaces."""
    letters = ALPHABET.strip()
    sizes = random.integers(2, 8, count)
    return " ".join("".join(random.choice([*letters], size)) for size in sizes)


def _voice(seconds: float) -> NDArray[np.float64]:
    """A voice, so that voice detection hears one: a sample's, from its start, over and over, nothing above 3 kHz."""
    return np.resize(_sample(), round(seconds * RATE)).copy()


@cache
def _sample() -> NDArray[np.float64]:
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(str(VOICE)) as file:
        frames = [one for frame in file.decode(audio=0) for one in resampler.resample(frame)]
    sound = np.concatenate([one.to_ndarray()[0] for one in [*frames, *resampler.resample(None)]])
    pieces = sound[: sound.size // PIECE * PIECE].reshape(-1, PIECE)
    loud = np.sqrt(np.mean(pieces**2, axis=1))
    sound = pieces[loud > np.median(loud) / 3].ravel()  # its pauses would be taken for those between our words
    spectrum = np.fft.rfft(sound)
    spectrum[int(HIGHEST / RATE * sound.size) :] = 0
    voice: NDArray[np.float64] = np.fft.irfft(spectrum, sound.size)
    voice *= 0.4 / np.abs(voice).max()
    return voice


# -- the file, in the wire format of onnx.proto: no library of the lock writes it

FLOAT, INT64 = 1, 7
INTS, INT = 7, 2


def _model(weights: NDArray[np.float32], bias: NDArray[np.float32]) -> bytes:
    nodes = [
        _node("Conv", ["features", "weights", "bias"], "bands", strides=[STRIDE], kernel_shape=[1]),
        _node("Transpose", ["bands"], "logits", perm=[0, 2, 1]),
        _node("LogSoftmax", ["logits"], "log_probs", axis=-1),
    ]
    graph = b"".join(
        [
            *(_field(1, node) for node in nodes),
            _field(2, "tones"),
            _field(5, _tensor("weights", weights[:, :, None])),
            _field(5, _tensor("bias", bias)),
            _field(10, "reads letters from tones; not a speech model"),
            _field(11, _value("features", FLOAT, ["batch", MELS, "frames"])),
            _field(11, _value("feature_lengths", INT64, ["batch"])),
            _field(12, _value("log_probs", FLOAT, ["batch", "positions", len(VOCABULARY)])),
        ]
    )
    operators = _field(1, "") + _field(2, 17)
    return _field(1, 8) + _field(2, "sttd tests") + _field(7, graph) + _field(8, operators)


def _node(kind: str, inputs: list[str], output: str, **attributes: int | list[int]) -> bytes:
    parts = [*(_field(1, name) for name in inputs), _field(2, output), _field(4, kind)]
    for name, value in attributes.items():
        if isinstance(value, list):
            told = b"".join(_field(8, one) for one in value) + _field(20, INTS)
        else:
            told = _field(3, value) + _field(20, INT)
        parts.append(_field(5, _field(1, name) + told))
    return b"".join(parts)


def _tensor(name: str, values: NDArray[np.float32]) -> bytes:
    dims = b"".join(_field(1, size) for size in values.shape)
    return dims + _field(2, FLOAT) + _field(8, name) + _field(9, struct.pack(f"<{values.size}f", *values.ravel()))


def _value(name: str, kind: int, shape: list[str | int]) -> bytes:
    dims = b"".join(_field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, dims)))


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
