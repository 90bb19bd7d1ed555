"""How much memory the daemon can come to need, from its settings: a sum whose parts can be printed."""

from dataclasses import asdict, dataclass
from typing import Final

from sttd.consumer.audio.limits import MIB, SHARED_MIB, DecodeLimits
from sttd.consumer.settings import Settings

BODY_COPIES: Final = 1.75
"""A body in hand: as bytes, and the audio taken out of its JSON until it is decoded."""
PASSING_COPIES: Final = 6
"""Of one body: its frames in each of four lanes while it comes, and two more while JSON is read, one at a time."""
REFERENCE_COPIES: Final = 2
"""An object as it is read, which may grow into twice its room, and as bytes for the decoder."""
SECOND_BYTES: Final = 16_000 * 2 * (9 / 8 + 1)
"""A second of sound: as it came from the child, in a buffer that grows, and the parts of it with speech."""
WORK_MIB: Final = 12
"""What a note's own thread takes for voice detection, a part of the spectrogram, and an encoded window: 10 measured,
with 2, 13 and 24 notes of 57 s in hand."""
CALL_MIB: Final = 196
"""What one model call takes beside the weights of `base`: measured, four windows of 13 s that are decoded together and
loop. 162 for a whole window. Larger models take more."""


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


def _one_body(settings: Settings) -> int:
    """A note comes with its message or by reference, never both."""
    carried = int(BODY_COPIES * settings.max_body_bytes)
    return max(carried, REFERENCE_COPIES * settings.max_ref_bytes) if settings.s3_endpoint else carried


def bound(settings: Settings, loaded_bytes: int) -> MemoryBound:
    """The most that these settings can lead to, given what the process holds once its model is loaded."""
    limits, in_hand, slots = DecodeLimits.from_settings(settings), settings.notes_in_hand, settings.effective_slots
    return MemoryBound(
        loaded=loaded_bytes,
        bodies=in_hand * _one_body(settings) + PASSING_COPIES * settings.max_body_bytes,
        short_notes=in_hand * (int(limits.short_seconds * SECOND_BYTES) + WORK_MIB * MIB),
        long_audio=int(settings.max_audio_seconds * SECOND_BYTES),  # the room that long files share
        model_calls=slots * CALL_MIB * MIB,
        decoders=slots * (limits.private_bytes + SHARED_MIB * MIB),
    )
