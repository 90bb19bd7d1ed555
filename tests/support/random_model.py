"""A Whisper of any shape with random weights, as a ctranslate2 directory without a tokenizer.

For tests of readers and encoders: shapes and stored types that no model at hand has. Its texts mean nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from ctranslate2.specs import common_spec, whisper_spec
from ctranslate2.specs.model_spec import NumpyVariable

Array = npt.NDArray[np.float32]

POSITIONS: Final = 1500
"""Encoder positions: 30 s at 50 a second."""

DECODER_POSITIONS: Final = 448
STORED: Final = ("int8", "int16", "float16", "float32", "bfloat16")
VOCABULARY: Final = tuple("<|endoftext|> <|startoftranscript|> <|en|> <|transcribe|> <|notimestamps|> <|0.00|>".split())


@dataclass(frozen=True, slots=True)
class Size:
    """A shape."""

    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    mels: int = 80


def build(size: Size, directory: Path, *, stored: str = "int8", seed: int = 0) -> Path:
    """Write the model into `directory` and return it. `stored`: the type of the weights, one of `STORED`."""
    spec = whisper_spec.WhisperSpec(size.encoder_layers, size.heads, size.decoder_layers, size.heads)
    random = np.random.default_rng(seed)
    _fill_encoder(spec.encoder, size, random)
    _fill_decoder(spec.decoder, size, random)
    spec.register_vocabulary(list(VOCABULARY))
    spec.config.lang_ids = [VOCABULARY.index("<|en|>")]
    spec.validate()
    spec.optimize(quantization="float32" if stored == "bfloat16" else stored)
    if stored == "bfloat16":
        spec._visit(_to_bfloat16)
    directory.mkdir(parents=True, exist_ok=True)
    spec.save(str(directory))
    return directory


def _fill_encoder(encoder: Any, size: Size, random: np.random.Generator) -> None:
    """Weights of the size that trained ones have, so that rounding shows."""
    for convolution, channels in ((encoder.conv1, size.mels), (encoder.conv2, size.width)):
        convolution.weight = _normal(random, size.width, channels, 3)
        convolution.bias = _noise(random, size.width)
    encoder.position_encodings.encodings = _sinusoids(size.width)
    _fill_norm(encoder.layer_norm, size.width, random)
    for layer in encoder.layer:
        _fill_layer(layer, size.width, random)


def _fill_decoder(decoder: Any, size: Size, random: np.random.Generator) -> None:
    decoder.embeddings.weight = _noise(random, len(VOCABULARY), size.width)
    decoder.position_encodings.encodings = _noise(random, DECODER_POSITIONS, size.width)
    decoder.projection.weight = decoder.embeddings.weight
    _fill_norm(decoder.layer_norm, size.width, random)
    for layer in decoder.layer:
        _fill_layer(layer, size.width, random)


def _fill_layer(layer: Any, width: int, random: np.random.Generator) -> None:
    blocks = [layer.self_attention, *([layer.attention] if hasattr(layer, "attention") else [])]
    for block in blocks:
        _fill_norm(block.layer_norm, width, random)
        outputs = {2: (3 * width, width), 3: (width, 2 * width, width)}[len(block.linear)]
        for linear, rows in zip(block.linear, outputs, strict=True):
            _fill_linear(linear, rows, width, random)
    _fill_norm(layer.ffn.layer_norm, width, random)
    _fill_linear(layer.ffn.linear_0, 4 * width, width, random)
    _fill_linear(layer.ffn.linear_1, width, 4 * width, random)


def _fill_linear(linear: common_spec.LinearSpec, rows: int, columns: int, random: np.random.Generator) -> None:
    linear.weight = _normal(random, rows, columns)
    linear.bias = _noise(random, rows)


def _fill_norm(norm: common_spec.LayerNormSpec, width: int, random: np.random.Generator) -> None:
    norm.gamma = 1 + _noise(random, width)
    norm.beta = _noise(random, width)


def _normal(random: np.random.Generator, rows: int, *others: int) -> Array:
    """Random weights that keep the loudness of what they multiply."""
    return random.standard_normal((rows, *others), dtype=np.float32) * np.float32(np.prod(others) ** -0.5)


def _noise(random: np.random.Generator, *shape: int, scale: float = 0.02) -> Array:
    """Never exactly alike: ctranslate2 stores equal tensors once, which no trained model has."""
    return random.standard_normal(shape, dtype=np.float32) * np.float32(scale)


def _sinusoids(width: int) -> Array:
    """Whisper's own encoder positions."""
    scales = np.exp(-np.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(POSITIONS)[:, None] * scales[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _to_bfloat16(spec: Any, name: str, value: Any) -> None:
    if isinstance(value, NumpyVariable) and value.dtype == "float32" and not value.is_scalar():
        setattr(spec, name.rpartition("/")[2], _BFloat16(value.numpy()))


class _BFloat16(NumpyVariable):  # type: ignore[misc]  # ctranslate2 has no types
    """The upper half of each float32, rounded to the nearest."""

    dtype = "bfloat16"

    def __init__(self, array: Array) -> None:
        bits = array.view(np.uint32)
        super().__init__(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16))
