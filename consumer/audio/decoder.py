"""The seam to the decoder: what a decoded note is, and who can make one.

Imports consumer.pcm and schemas; never `av` (that is child.py's, in a process of its own).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from consumer.pcm import SAMPLE_RATE, Pcm
from schemas.reply import AudioInfo

__all__ = ["SAMPLE_RATE", "DecodedAudio", "Decoder", "Pcm"]


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
