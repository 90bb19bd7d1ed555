"""Room for decoded sound: short notes pass, long ones wait in line until enough memory is free. Refuses nothing.

Counts seconds, not bytes.
"""

import asyncio
from collections import deque
from collections.abc import Callable

Release = Callable[[], None]


def nothing_held() -> None:
    """The release of a note that holds no room beyond what every note has."""


class Room:
    """Limits the seconds of long audio in memory; room is given in the order of the requests.

    Strictly in order, even where a smaller file would fit: else a one-hour file would wait for ever behind a stream of
    five-minute ones.
    """

    def __init__(self, seconds: float) -> None:
        """`seconds`: of sound; a file that is longer than all of it waits until it is alone."""
        self._total = seconds
        self._taken = 0.0
        self._line: deque[tuple[float, asyncio.Future[None]]] = deque()

    def __repr__(self) -> str:
        return f"<Room taken={self._taken:g} of={self._total:g} s waiting={len(self._line)}>"

    async def take(self, seconds: float) -> Release:
        """Wait for room; the caller calls the returned function once, when the sound is out of memory.

        A cancelled call gives up its place.
        """
        wanted = min(seconds, self._total)
        if self._line or self._taken + wanted > self._total:
            await self._stand_in_line(wanted)
        else:
            self._taken += wanted
        return self._release_of(wanted)

    async def _stand_in_line(self, wanted: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (wanted, turn)
        self._line.append(place)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # called in the same moment: the room taken for this call goes back
                self._taken -= wanted
            elif place in self._line:
                self._line.remove(place)
            self._call_next()
            raise

    def _release_of(self, wanted: float) -> Release:
        held = [wanted]

        def release() -> None:
            if held:  # a second call would make room that is not there
                self._taken -= held.pop()
                self._call_next()

        return release

    def _call_next(self) -> None:
        while self._line:
            wanted, turn = self._line[0]
            if not turn.cancelled():  # else that request was cancelled, and its task has not run since
                if self._taken + wanted > self._total:
                    return
                self._taken += wanted
                turn.set_result(None)
            self._line.popleft()
