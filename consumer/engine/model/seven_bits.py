"""Weights of seven bits, for CPUs whose 8-bit products saturate.

Without VNNI a CPU adds two products of an unsigned and a signed byte in 16 bits. Two products of 255 and 127 do not
fit, and the sum is cut off: the int8 encoder of the real `base` is at a cosine of 0.990 to float32, with weights of at
most 63 at 0.994, and makes fewer word errors (docs/benchmarks/accuracy.md).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from sttd.consumer.engine.model import model_file
from sttd.consumer.engine.model.cpu import Cpu

MOST: Final = 63

EXACT: Final = frozenset({"avx512_vnni", "avx_vnni"})
"""Flags of CPUs that add these products in 32 bits."""

FLOATS: Final = frozenset({"<f4", "<f2", "bfloat16"})


def saturates(cpu: Cpu) -> bool:
    """Whether the CPU's 8-bit products do. Unknown flags (not x86) are taken as exact."""
    return "avx2" in cpu.flags and not cpu.flags & EXACT


def narrowed(path: Path) -> bytes | None:
    """The content of another `model.bin` with weights of seven bits, or None where the file holds integers already.

    Raises `ModelFileUnreadable`.
    """
    found = model_file.index(path)
    weights = [name for name, tensor in found.tensors.items() if _is_weight(name, len(tensor.shape))]
    if not weights or any(found.tensors[name].kind not in FLOATS for name in weights):
        return None
    scales = {f"{alias}_scale": f"{name}_scale" for alias, name in found.aliases.items() if name in weights}
    tensors = dict(_tensors(path, found, frozenset(weights)))
    return model_file.written(found.revision, tensors, {**found.aliases, **scales})


def _is_weight(name: str, dimensions: int) -> bool:
    """What ctranslate2 would turn into int8: matrices, the embeddings among them; no convolution."""
    return name.endswith("weight") and dimensions == 2  # noqa: PLR2004 - a matrix


def _tensors(
    path: Path, found: model_file.Index, weights: frozenset[str]
) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    for name, tensor in found.tensors.items():
        numbers = model_file.content(path, tensor)
        if name not in weights:
            yield name, model_file.floats(numbers, tensor.kind) if tensor.kind == "bfloat16" else numbers
            continue
        matrix = model_file.floats(numbers, tensor.kind)
        most = np.abs(matrix).max(axis=1)
        scale = np.where(most == 0, np.float32(1), MOST / most).astype(np.float32)
        yield name, np.rint(matrix * scale[:, None]).astype(np.int8)
        yield f"{name}_scale", scale
