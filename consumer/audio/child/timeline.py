"""Where on the time axis a frame belongs: holes in a file's packet times, and a track that begins late, keep their place.

Imports its siblings; runs in the decoder child only.

Four things that a container tells are kept apart. Its length is one. Where its clock stands at the first packet is another: a
recording from the middle of a stream begins at any number, and that is no silence. Holes between packets are silence. Padding,
which encoders add at both ends, is cut off by FFmpeg.
"""

from __future__ import annotations

from typing import Final

from sttd.consumer.audio.child.media import HOLE_SECONDS

RESTART_SECONDS: Final = 1.0
"""A clock that goes back further than this has begun anew."""


class SoundTimeline:
    """The time axis of one track."""

    def __init__(self, tick: float, origin: float) -> None:
        """`tick`: seconds of one step of the file's clock, 0 for a clock that says nothing; `origin`: where the axis begins on it."""
        self._tick = tick
        self._origin = origin
        self._end = 0.0

    def hole_before(self, clock: int | None, seconds: float, position: float) -> float:
        """How much silence belongs before a frame of `seconds` whose clock says `clock`; `position`: where the sound before it ends."""
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
