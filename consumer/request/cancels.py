"""The cancels from the control exchange: kept for requests still queued, passed on to work in hand.

Bounded: anybody who may publish to the exchange can send any number.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REMEMBERED = 10_000
REMEMBERED_SECONDS = 3600.0


class Cancels:
    """Message ids that their callers cancelled."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, float] = OrderedDict()
        self._listeners: dict[str, set[Callable[[], None]]] = {}

    def add(self, message_id: str) -> None:
        """Remember the cancel and stop the work in hand, if any; the oldest are forgotten first."""
        self._asked[message_id] = time.monotonic()
        self._asked.move_to_end(message_id)
        while len(self._asked) > REMEMBERED:
            self._asked.popitem(last=False)
        for stop in list(self._listeners.get(message_id, ())):
            stop()

    def __contains__(self, message_id: str | None) -> bool:
        """Whether this request was cancelled within the last hour."""
        asked = self._asked.get(message_id) if message_id else None
        return asked is not None and time.monotonic() - asked <= REMEMBERED_SECONDS

    @contextmanager
    def stopping(self, message_id: str | None, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` if the request is cancelled while the context lasts."""
        if message_id is None:
            yield
            return
        self._listeners.setdefault(message_id, set()).add(stop)
        try:
            yield
        finally:
            self._listeners[message_id].discard(stop)
            if not self._listeners[message_id]:
                del self._listeners[message_id]
