"""One file among the bytes, and what its own lengths prove. Pure."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MOST_STEPS: Final = 400_000
"""Chunks, boxes or elements that are walked through, an hour in fragments of 20 ms: twenty MiB of empty ones would take
seconds."""


class Length(Enum):
    """What a container's lengths prove about its sound."""

    WHOLE = auto()
    """All that was announced is there, whatever the durations are."""
    CUT = auto()
    """Sound was announced, or begun, that is not there."""
    EARLY = auto()
    """It ends early, but perhaps behind the last sound: then a duration decides."""
    UNTOLD = auto()
    """The length field was never filled in: a duration computed from it proves nothing."""
    ELSEWHERE = auto()
    """Only a duration can decide, where there is one."""


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `start` to `end`.

    `patches`: length fields that are wrong, by their places, and what a demuxer needs there. `blocks`: how many blocks
    of sound or picture it lists, 0 for unknown. `behind`: so many bytes behind `end` are its own and hold no sound.
    """

    start: int
    end: int
    length: Length
    patches: tuple[tuple[int, bytes], ...] = ()
    blocks: int = 0
    behind: int = 0

    def of(self, audio: bytes) -> bytes:
        """Its own bytes, mended; the very same object where it is all of them."""
        if not self.patches:
            return audio[self.start : self.end]
        own = bytearray(audio[self.start : self.end])
        for at, value in self.patches:
            own[at - self.start : at - self.start + len(value)] = value
        return bytes(own)
