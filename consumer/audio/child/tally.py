"""Counts of a file's output so far, compared with its limits."""

from dataclasses import dataclass
from typing import Final

from sttd.consumer.audio.child.media import MAX_DENSITY
from sttd.consumer.audio.child.refusal import Longer, Rejected, too_long
from sttd.consumer.audio.structure import tail
from sttd.schemas.codes import ErrorCode

HOPELESS: Final = 2_000
"""After so many bad packets most of them must have been good ones: twenty million of one byte each would take minutes
to fail."""

MOST_LABELS: Final = 256
"""Packets of a tag or a text that are passed over; more than that is no tag."""

NO_DATA: Final = frozenset({b"\x78", b"\x7c"})
"""AMR's frame for "nothing to send", as phones write in pauses: silence, and no damage."""


@dataclass(slots=True)
class Tally:
    """Counts of one file.

    `seconds`: on the time axis, before resampling; `silence`: of these, inserted where the file has holes. `values`:
    samples of all channels; `samples`: after resampling. `last`, `before`: how long the container says that the last
    packet and the one before it are, in its own time base.
    """

    max_seconds: float
    room_seconds: float
    seconds: float = 0.0
    silence: float = 0.0
    values: int = 0
    samples: int = 0
    packets: int = 0
    frames: int = 0
    bad_packets: int = 0
    labels: int = 0
    sample_rate: int = 0
    channels: int = 0
    out_of_memory: bool = False
    last: int = 0
    before: int = 0

    def bad(self, error: Exception, packet: bytes = b"") -> None:
        """Count a packet that did not decode, but for tags and text.

        FFmpeg also calls it "out of memory" when damage announces an absurd size.
        """
        if packet in NO_DATA:
            return
        if packet and self.labels < MOST_LABELS and tail.is_label(packet):
            self.labels += 1
            return
        self.bad_packets += 1
        self.out_of_memory |= isinstance(error, MemoryError)
        if self.bad_packets > HOPELESS and self.bad_packets > self.frames:
            raise Rejected(
                ErrorCode.AUDIO_UNREADABLE, "hardly anything of the file could be decoded", bad_packets=self.bad_packets
            )

    def count(self, samples: int, rate: int, channels: int) -> None:
        """Add one frame; stop the whole file as soon as it is too long, however little the container announced.

        `samples`: of one channel; `rate`: in Hz.
        """
        self.frames += 1
        self.values += samples * channels
        if self.values > self.max_seconds * MAX_DENSITY:
            raise too_long(self.max_seconds)
        self._lengthen(samples / rate)

    def wait(self, seconds: float) -> None:
        """Add a hole."""
        self.silence += seconds
        self._lengthen(seconds)

    def _lengthen(self, seconds: float) -> None:
        self.seconds += seconds
        if self.seconds > self.max_seconds:
            raise too_long(self.max_seconds)
        if self.seconds > self.room_seconds:
            raise Longer(self.seconds)
