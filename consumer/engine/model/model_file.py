"""ctranslate2's `model.bin`: the list of its tensors, and a new file made of tensors.

Never knows what a tensor is for. Whatever is wrong with a file is a `ModelFileUnreadable` with its reason.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.int8]

BINARY_VERSION: Final = 6
MODEL: Final = "WhisperSpec"
TYPES: Final = ("<f4", "i1", "<i2", "<i4", "<f2", "bfloat16")
"""numpy's names for ctranslate2's numbers; numpy has no bfloat16."""

MOST_DIMENSIONS: Final = 4


class ModelFileUnreadable(Exception):
    """The message is the reason, one line, for the log."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies in the file, its shape and its type."""

    shape: tuple[int, ...]
    kind: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Index:
    """What is in a file. `aliases`: other names of tensors; `revision`: of the specification."""

    revision: int
    tensors: Mapping[str, Tensor]
    aliases: Mapping[str, str]


def index(path: Path) -> Index:
    """Read the headers, never the content. Raises `ModelFileUnreadable`."""
    try:
        with path.open("rb") as file:
            return _index(file, path.stat().st_size)
    except OSError as error:
        raise ModelFileUnreadable(f"the model file cannot be read: {error.strerror}") from error
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise ModelFileUnreadable("the model file is damaged: its list of tensors cannot be read") from error


def content(path: Path, tensor: Tensor) -> npt.NDArray[np.generic]:
    """A tensor's numbers as they are stored, bfloat16 as uint16. Raises `ModelFileUnreadable`."""
    try:
        with path.open("rb") as file:
            file.seek(tensor.offset)
            raw = file.read(tensor.size)
    except OSError as error:
        raise ModelFileUnreadable(f"the model file cannot be read: {error.strerror}") from error
    if len(raw) < tensor.size:
        raise ModelFileUnreadable("the model file has become shorter")
    return np.frombuffer(raw, "<u2" if tensor.kind == "bfloat16" else tensor.kind).reshape(tensor.shape)


def floats(raw: npt.NDArray[np.generic], kind: str) -> Floats:
    """Stored numbers of type `kind` as float32."""
    if kind == "bfloat16":  # the upper half of a float32
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32, copy=False)


def written(revision: int, tensors: Mapping[str, npt.NDArray[np.generic]], aliases: Mapping[str, str]) -> bytes:
    """A new file, in memory. `tensors`: their numbers in types that numpy has."""
    parts = [struct.pack("<I", BINARY_VERSION), _string(MODEL), struct.pack("<II", revision, len(tensors))]
    for name, numbers in tensors.items():
        kind = numbers.dtype.str.removeprefix("|")
        sizes = struct.pack(f"<B{numbers.ndim}I", numbers.ndim, *numbers.shape)
        parts += [_string(name), sizes, struct.pack("<BI", TYPES.index(kind), numbers.nbytes), numbers.tobytes()]
    parts.append(struct.pack("<I", len(aliases)))
    parts += [_string(name) for pair in aliases.items() for name in pair]
    return b"".join(parts)


def _string(text: str) -> bytes:
    raw = text.encode() + b"\0"
    return struct.pack("<H", len(raw)) + raw


def _index(file: BinaryIO, length: int) -> Index:
    version = _number(file, "<I")
    if version != BINARY_VERSION:
        raise ModelFileUnreadable(f"the model file has binary version {version}; only {BINARY_VERSION} is known here")
    if (name := _text(file)) != MODEL:
        raise ModelFileUnreadable(f"the model file holds a {name[:40]!r}, not a {MODEL}")
    revision = _number(file, "<I")
    tensors = dict(_tensor(file, length) for _ in range(_number(file, "<I")))
    named = [(_text(file), _text(file)) for _ in range(_number(file, "<I"))]
    return Index(revision, tensors, {alias: original for alias, original in named if original in tensors})


def _tensor(file: BinaryIO, length: int) -> tuple[str, Tensor]:
    """Read one header and go past the content."""
    name = _text(file)
    dimensions = _number(file, "<B")
    if dimensions > MOST_DIMENSIONS:
        raise ModelFileUnreadable(f"the model file is damaged: {name[:80]!r} has {dimensions} dimensions")
    shape = tuple(_number(file, "<I") for _ in range(dimensions))
    kind, size = TYPES[_number(file, "<B")], _number(file, "<I")
    offset = file.tell()
    width = 2 if kind == "bfloat16" else np.dtype(kind).itemsize
    if size != math.prod(shape) * width or offset + size > length:
        raise ModelFileUnreadable(f"the model file is damaged: {name[:80]!r} does not fit")
    file.seek(size, 1)
    return name, Tensor(shape, kind, offset, size)


def _text(file: BinaryIO) -> str:
    """Length, then the characters with a closing zero."""
    return file.read(_number(file, "<H")).rstrip(b"\0").decode()


def _number(file: BinaryIO, kind: str) -> int:
    found: int = struct.unpack(kind, file.read(struct.calcsize(kind)))[0]
    return found
