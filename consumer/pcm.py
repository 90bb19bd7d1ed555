"""The shape of sound between decoder and engine."""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE: Final = 16_000  # Hz; Whisper's input rate
FULL_SCALE: Final = np.float32(32_768)

Pcm: TypeAlias = NDArray[np.int16] | NDArray[np.float32]
"""Mono, shape (samples,), 16 kHz: int16 as the decoder gives it, or float32 in [-1, 1]."""


def floats(pcm: Pcm) -> NDArray[np.float32]:
    """The same sound as float32 in [-1, 1]: made of a part at a time, for an hour of it is 230 MB."""
    found: NDArray[np.float32] = pcm.astype(np.float32, copy=False)
    if pcm.dtype == np.int16:
        found /= FULL_SCALE
    return found
