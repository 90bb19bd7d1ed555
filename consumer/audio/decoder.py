"""The seam to the decoder: what a decoded note is, and who can make one.

Imports numpy, schemas, consumer.errors; never `av` (that is child.py's, in a process of its own).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.reply import AudioInfo

SAMPLE_RATE = 16_000  # Hz; what Whisper hears

Pcm = NDArray[np.float32]
"""float32 mono in [-1, 1], shape (samples,), 16 kHz."""


@dataclass(frozen=True, slots=True)
class DecodedAudio:
    """One decoded note. `pcm`: float32 mono in [-1, 1], shape (samples,), 16 kHz."""

    pcm: Pcm
    info: AudioInfo


class Decoder(Protocol):
    """Turns a file's bytes into PCM, in a process that may die of them."""

    async def decode(self, audio: bytes) -> DecodedAudio:
        """Decode one file. Raises `AudioRejected` with a permanent code when the bytes are at fault."""
        ...
