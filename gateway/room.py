"""How much audio the gateway holds at once.

An upload takes room as its bytes arrive, and gives it back when its request ends. Pure but for the event loop's clock,
which is passed in.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sttd.gateway.problems import busy

STALLED_SECONDS: Final = 3.0
"""An upload that sent nothing for so long makes way when there is no room."""


class Hold:
    """The room of one request.

    `uploading` is its time limit while it still reads; moving that to now ends the upload.
    """

    def __init__(self, room: "UploadRoom", now: float) -> None:
        self._room = room
        self.size = 0
        self.fed = now
        self.uploading: asyncio.Timeout | None = None
        self.evicted = False

    def grow(self, count: int) -> None:
        """Take room for `count` more bytes. Raises `Problem` 429 when there is none."""
        self._room.grow(self, count)

    @property
    def uploads(self) -> bool:
        """Whether its request is still being read."""
        return self.uploading is not None and not self.evicted and not self.uploading.expired()

    def end(self) -> None:
        """Let its upload run out of time now."""
        if self.uploading is not None and self.uploads:
            self.evicted = True
            self.uploading.reschedule(0)


class UploadRoom:
    """Room for `limit` bytes of audio in all requests together."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        """Start empty; `clock` gives seconds, the event loop's."""
        self._limit = limit
        self._clock = clock
        self._holds: set[Hold] = set()
        self.used = 0

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """Room for one request, given back at the end of the block."""
        hold = Hold(self, self._clock())
        self._holds.add(hold)
        try:
            yield hold
        finally:
            self._holds.discard(hold)
            self._shrink(hold)

    def grow(self, hold: Hold, count: int) -> None:
        """Take room for one hold.

        Where there is none, uploads that stand still lose theirs first, the largest before all.
        """
        if self.used + count > self._limit:
            self._evict(self.used + count - self._limit, hold)
        if self.used + count > self._limit:
            raise busy("the gateway holds as much audio as it may; try again later", "gateway_busy")
        self.used += count
        hold.size += count
        hold.fed = self._clock()

    def _evict(self, wanted: int, newcomer: Hold) -> None:
        now = self._clock()
        stalled = [h for h in self._holds if h is not newcomer and h.uploads and now - h.fed >= STALLED_SECONDS]
        for hold in sorted(stalled, key=lambda h: h.size, reverse=True):
            if wanted <= 0:
                return
            wanted -= hold.size
            self._shrink(hold)
            hold.end()

    def _shrink(self, hold: Hold) -> None:
        self.used -= hold.size
        hold.size = 0

    def __repr__(self) -> str:
        return f"<UploadRoom: {self.used} of {self._limit} bytes in {len(self._holds)} requests>"
