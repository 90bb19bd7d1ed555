"""The bounds of one file, enforced by the pool from outside and by the child from inside."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from sttd.consumer.settings import Settings

MIB: Final = 1024 * 1024
LIBRARIES_MIB: Final = 384
"""Address space of a working child: interpreter, FFmpeg, arenas, a group of samples. Measured: 145 MiB for notes, 270
MiB at most."""

PRIVATE_MIB: Final = 176
"""Memory of a working child that it shares with no other. Measured: 60 MiB for notes; a WAV of 5 s in 5.1 took 213 with
the file itself, and two files of the largest size are counted beside it."""

RESERVED_MIB: Final = 140
"""RLIMIT_DATA counts what is reserved too, such as the arenas of threads; that 5.1 did not decode within 200 MiB."""

SHARED_MIB: Final = 24
"""Its libraries in memory, which all children share."""

SHORT_SECONDS: Final = 90.0
"""A note up to here is decoded at once; a longer one waits until there is room for it in memory."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Bounds on decoding one file.

    `max_audio_seconds`: of sound; `decode_seconds`: of wall clock, and of processor time too, for each of two tries.
    """

    max_audio_seconds: float = 3600.0
    decode_seconds: float = 60.0
    max_input_bytes: int = 20 * MIB
    files_per_child: int = 500

    @classmethod
    def from_settings(cls, settings: "Settings") -> Self:
        """The bounds that the daemon's settings give."""
        return cls(settings.max_audio_seconds, settings.decode_seconds, settings.most_audio_bytes)

    @property
    def address_space_bytes(self) -> int:
        """RLIMIT_AS of a child. The file is held once as read and once more where a demuxer copies it."""
        return LIBRARIES_MIB * MIB + 3 * self.max_input_bytes

    @property
    def private_bytes(self) -> int:
        """What a child takes at most, beside its libraries."""
        return PRIVATE_MIB * MIB + 2 * self.max_input_bytes

    @property
    def data_bytes(self) -> int:
        """RLIMIT_DATA of a child. It is nearer to memory than address space is, and looser than `private_bytes`."""
        return self.private_bytes + RESERVED_MIB * MIB

    @property
    def short_seconds(self) -> float:
        """Seconds of sound that every note in hand has room for without waiting."""
        return min(SHORT_SECONDS, self.max_audio_seconds)


def pcm_bytes(seconds: float) -> int:
    """The most bytes of s16le PCM that a child may send for a file of so many seconds.

    Includes a second for what a resampler holds back.
    """
    return int((seconds + 1) * 32_000)
