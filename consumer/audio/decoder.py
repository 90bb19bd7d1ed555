"""The seam to the decoder: a decoded note, and the protocol of whoever makes one."""

from dataclasses import dataclass
from typing import Protocol, Self

from sttd.consumer.audio.admission import Release, nothing_held
from sttd.consumer.pcm import Pcm
from sttd.schemas.reply import AudioInfo


@dataclass(frozen=True, slots=True)
class DecodedAudio:
    """One decoded note. `pcm`: int16 mono, shape (samples,), 16 kHz.

    A long one holds room that others wait for until `release` is called; `with` does that.
    """

    pcm: Pcm
    info: AudioInfo
    release: Release = nothing_held

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Release the room of the sound, which is not used any more."""
        self.release()


class Decoder(Protocol):
    """Turns a file's bytes into PCM, in a process that may die of them."""

    async def decode(self, audio: bytes) -> DecodedAudio:
        """Decode one file: `audio` as it was received.

        Raises `AudioRejected` with a permanent code when the bytes are at fault.
        """
