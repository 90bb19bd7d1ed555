"""The encoder in a ctranslate2 model of any size and stored type.

Reads each encoder tensor when it is asked for: the decoder is skipped, never held. Whatever is wrong with a file is an
`EncoderUnavailable` with its reason.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from sttd.consumer.engine.model import model_file
from sttd.consumer.engine.model.model_file import Bytes, Floats, ModelFileUnreadable, Tensor

INTEGERS: Final = frozenset({"i1", "<i2", "<i4"})

INT8_MOST: Final = 127
FLOAT32_BYTES: Final = 4
FFN_GROWTH: Final = 4  # the feed-forward layer is four times as wide, in every Whisper
HEAD_WIDTH: Final = 64  # in every Whisper; for files that do not name the number of heads


class EncoderUnavailable(Exception):
    """No second encoder for this model on this machine: the message is the reason, one line, for the log."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Weights as they are stored. Row r of what is meant: `stored[r] / scale[r]`; without a scale, what is stored."""

    stored: Floats | Bytes
    scale: Floats | None

    def floats(self) -> Floats:
        """As float32, the same shape."""
        if self.scale is None:
            return self.stored.astype(np.float32, copy=False)
        scale = self.scale.reshape(-1, *[1] * (self.stored.ndim - 1))
        return np.divide(self.stored, scale, dtype=np.float32)

    def rounded(self) -> tuple[Bytes, Floats]:
        """As int8 and the step of each row, float32 (rows,): `int8 * step`. Exact when int8 is stored."""
        if self.stored.dtype == np.int8 and self.scale is not None:
            return self.stored.astype(np.int8, copy=False), np.reciprocal(self.scale)
        floats = self.floats()
        most = np.abs(floats).max(axis=1)
        step = np.where(most == 0, np.float32(1), most / INT8_MOST).astype(np.float32)
        return np.rint(floats / step[:, None]).astype(np.int8), step


class EncoderFile:
    """The encoder in a `model.bin`: its shape, and its tensors on request.

    `width`: of the encoder's output; `mels`: bands of its input; `positions`: the longest output, half the longest
    input; `float32_bytes`: what the whole model, decoder included, takes when it is loaded in float32.
    """

    def __init__(self, path: Path) -> None:
        """Read the headers. Raises `EncoderUnavailable` unless all of a Whisper encoder is there, and nothing else."""
        self.path = path
        self._tensors, self.float32_bytes = _encoder_of(path)
        self.width, self.mels, _ = self._shape("conv1/weight", 3)
        self.positions, _ = self._shape("position_encodings/encodings", 2)
        self.layers = len({found[0] for name in self._tensors if (found := re.match(r"layer_\d+/", name))})
        self.heads = self._heads()
        self._refuse_surprises()

    def vector(self, name: str) -> Floats:
        """A bias, a norm or the positions."""
        tensor = self._tensors[name]
        return model_file.floats(self._raw(tensor), tensor.kind)

    def matrix(self, name: str) -> Matrix:
        """The weights of a linear layer or a convolution; rows are outputs."""
        tensor = self._tensors[name]
        if tensor.kind not in INTEGERS:
            return Matrix(self.vector(name), None)
        raw = self._raw(tensor)
        stored: Floats | Bytes = raw.astype(np.int8, copy=False) if tensor.kind == "i1" else raw.astype(np.float32)
        scale = np.broadcast_to(self.vector(f"{name}_scale").reshape(-1), (tensor.shape[0],))
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise EncoderUnavailable(f"the model file has a scale of {name} that cannot be one")
        return Matrix(stored, scale)

    def _heads(self) -> int:
        heads, named = self.width // HEAD_WIDTH, self._tensors.get("num_heads")
        if named is not None:
            heads = int(self._raw(named).item()) if named.kind in INTEGERS and math.prod(named.shape) == 1 else 0
        if heads < 1 or self.width % heads:
            raise EncoderUnavailable(f"the model file names {heads} attention heads for a width of {self.width}")
        return heads

    def _shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        shape = self._tensors[name].shape if name in self._tensors else ()
        if len(shape) != dimensions or not all(shape):
            raise EncoderUnavailable(f"the model file has no usable encoder/{name}")
        return shape

    def _refuse_surprises(self) -> None:
        """Another tensor than Whisper's is another computation than ours."""
        expected = dict(_expected(self.width, self.mels, self.positions, self.layers))
        missing = expected.keys() - self._tensors.keys()
        strange = {name for name in self._tensors.keys() - expected.keys() if not name.endswith("weight_scale")} - {
            "num_heads"
        }
        if missing or strange:
            raise EncoderUnavailable(
                f"the encoder is not Whisper's: {'lacks' if missing else 'has'} {min(missing or strange)}"
            )
        for name, shape in expected.items():
            tensor = self._tensors[name]
            if tensor.shape != shape:
                raise EncoderUnavailable(f"encoder/{name} has the shape {tensor.shape}, expected {shape}")
            if tensor.kind in INTEGERS:
                self._refuse_scale(name, shape[0])

    def _refuse_scale(self, name: str, rows: int) -> None:
        scale = self._tensors.get(f"{name}_scale")
        if not name.endswith("weight") or scale is None or math.prod(scale.shape) not in {1, rows}:
            raise EncoderUnavailable(f"encoder/{name} is stored as integers without a scale for each row")

    def _raw(self, tensor: Tensor) -> npt.NDArray[np.generic]:
        try:
            return model_file.content(self.path, tensor)
        except ModelFileUnreadable as error:
            raise EncoderUnavailable(str(error)) from error


def _expected(width: int, mels: int, positions: int, layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each tensor of a Whisper encoder and its shape."""
    yield "position_encodings/encodings", (positions, width)
    for name, channels in (("conv1", mels), ("conv2", width)):
        yield f"{name}/weight", (width, channels, 3)
        yield f"{name}/bias", (width,)
    for layer in range(layers):
        inner = FFN_GROWTH * width
        for norm in ("self_attention/layer_norm", "ffn/layer_norm"):
            yield from _norm(f"layer_{layer}/{norm}", width)
        yield from _linear(f"layer_{layer}/self_attention/linear_0", 3 * width, width)
        yield from _linear(f"layer_{layer}/self_attention/linear_1", width, width)
        yield from _linear(f"layer_{layer}/ffn/linear_0", inner, width)
        yield from _linear(f"layer_{layer}/ffn/linear_1", width, inner)
    yield from _norm("layer_norm", width)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}/gamma", (width,)
    yield f"{name}/beta", (width,)


def _linear(name: str, rows: int, columns: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}/weight", (rows, columns)
    yield f"{name}/bias", (rows,)


def _encoder_of(path: Path) -> tuple[Mapping[str, Tensor], int]:
    """The encoder's tensors by their names below `encoder/`, with aliases; and the whole model's bytes in float32."""
    try:
        found = model_file.index(path)
    except ModelFileUnreadable as error:
        raise EncoderUnavailable(str(error)) from error
    named = {**found.tensors, **{alias: found.tensors[one] for alias, one in found.aliases.items()}}
    encoder = {name.removeprefix("encoder/"): tensor for name, tensor in named.items() if name.startswith("encoder/")}
    return encoder, FLOAT32_BYTES * sum(math.prod(tensor.shape) for tensor in found.tensors.values())
