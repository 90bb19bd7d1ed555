"""The place of a frame on the time axis: holes in packet times and late tracks keep their silence.

Four figures of a container are kept apart. Its length is one. The clock at the first packet is another: a recording
from the middle of a stream begins at any number, and that is no silence. Holes between packets are silence. Padding,
which encoders add at both ends, is cut off by FFmpeg.
"""

from typing import Final

from sttd.consumer.audio.child.media import HOLE_SECONDS

RESTART_SECONDS: Final = 1.0
"""A clock that goes back further than this has begun anew."""


class SoundTimeline:
    """The time axis of one track."""

    def __init__(self, tick: float, origin: float) -> None:
        """Begin at `origin` on the file's clock.

        `tick`: seconds of one step of that clock, 0 for a clock without meaning.
        """
        self._tick = tick
        self._origin = origin
        self._end = 0.0

    def hole_before(self, clock: int | None, seconds: float, position: float) -> float:
        """Seconds of silence that belong before a frame of `seconds` whose clock is at `clock`.

        `position`: where the sound before it ends.
        """
        if clock is None or not self._tick:
            return 0.0
        begins = clock * self._tick - self._origin
        hole = begins - self._end
        self._end = begins + seconds
        if -RESTART_SECONDS < hole < HOLE_SECONDS:
            return 0.0
        if hole < 0:
            self._origin += begins - position
            self._end = position + seconds
            return 0.0
        return max(0.0, begins - position)
