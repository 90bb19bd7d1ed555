"""How much memory the daemon can come to need, from its settings: a sum whose parts can be printed.

Pure but for `resident_bytes`, which asks the kernel about this process.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sttd.consumer.audio.limits import MIB, DecodeLimits
from sttd.consumer.settings import Settings

BODY_COPIES: Final = 3
"""A body as frames, as bytes, and as the audio taken out of JSON."""
REFERENCE_COPIES: Final = 2
"""An object as it is read, which may grow into twice its room, and as bytes for the decoder."""
SOUND_BYTES: Final = 16_000 * (2 + 4 + 4)
"""A second of sound: as it came from the child, as floats, and the parts of it with speech."""
FEATURE_BYTES: Final = 1_200_000
"""A second of sound on its way to the model. Measured: 1,027 kB for the spectrogram, 146 kB for voice detection."""
CALL_MIB: Final = 192
"""What one model call takes beside the weights: an estimate for models up to base, not measured; larger models take
more."""
STATUS: Final = Path("/proc/self/status")
MEMINFO: Final = Path("/proc/meminfo")
CGROUP: Final = Path("/sys/fs/cgroup")
CGROUP_FILES: Final = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Limit and use, in version 2 and in version 1. Without a limit: the word `max`, or a number larger than any memory."""


@dataclass(frozen=True, slots=True)
class MemoryBound:
    """Bytes, at most, by what takes them.

    `loaded`: process and model when work begins; `decoders`: all children together.
    """

    loaded: int
    bodies: int
    short_notes: int
    long_audio: int
    model_calls: int
    decoders: int

    @property
    def total(self) -> int:
        """Bytes of parent and children together."""
        return sum(asdict(self).values())

    def in_mib(self) -> dict[str, int]:
        """The parts and their total, for a log line."""
        return {f"{part}_mib": -(-size // MIB) for part, size in (*asdict(self).items(), ("total", self.total))}


def decode_limits(settings: Settings) -> DecodeLimits:
    """The bounds on one file, as the settings have them."""
    return DecodeLimits(settings.max_audio_seconds, settings.decode_seconds, settings.most_audio_bytes)


def _one_body(settings: Settings) -> int:
    """A note comes with its message or by reference, never both."""
    carried = BODY_COPIES * settings.max_body_bytes
    return max(carried, REFERENCE_COPIES * settings.max_ref_bytes) if settings.s3_endpoint else carried


def bound(settings: Settings, loaded_bytes: int) -> MemoryBound:
    """The most that these settings can lead to, given what the process holds once its model is loaded."""
    limits, in_hand, slots = decode_limits(settings), settings.notes_in_hand, settings.effective_slots
    a_second = SOUND_BYTES + FEATURE_BYTES
    return MemoryBound(
        loaded=loaded_bytes,
        bodies=in_hand * _one_body(settings),
        short_notes=int(in_hand * limits.short_seconds * a_second),
        long_audio=int(settings.max_audio_seconds * a_second),  # the room that long files share
        model_calls=slots * CALL_MIB * MIB,
        decoders=slots * limits.address_space_bytes,
    )


def resident_bytes() -> int:
    """What this process has in memory now, in bytes; 0 where the system does not report it."""
    try:
        lines = STATUS.read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) * 1024
    except (OSError, ValueError, StopIteration):
        return 0


def available_bytes() -> int | None:
    """What may still be taken, in bytes: the system's free memory, or less where a cgroup allows less.

    None where neither is known.
    """
    rooms: list[Callable[[], int]] = [
        _system_room,
        *(functools.partial(_cgroup_room, *names) for names in CGROUP_FILES),
    ]
    return min((room for room in map(_number, rooms) if room is not None), default=None)


def _number(read: Callable[[], int]) -> int | None:
    try:
        return read()
    except (OSError, ValueError, StopIteration):  # not there, or no limit
        return None


def _system_room() -> int:
    lines = MEMINFO.read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024


def _cgroup_room(limit: str, used: str) -> int:
    most, taken = (int((CGROUP / name).read_text(encoding="ascii")) for name in (limit, used))
    return max(0, most - taken)
