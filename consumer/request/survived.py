"""How many lost connections this process survived with a request in hand: no worker died in those redeliveries.

Pure. The broker counts a lost connection and a dead worker alike; without this, a flapping network would make poison of
harmless notes. Bounded: a forgotten entry only makes the daemon more careful.
"""

from collections import OrderedDict

REMEMBERED = 10_000


class Survived:
    """Losses survived, by reply id: the same request has the same one on every redelivery."""

    def __init__(self) -> None:
        self._losses: OrderedDict[str, int] = OrderedDict()

    def add(self, reply_id: str) -> None:
        """Remember that a connection was lost with this request in hand; the oldest are forgotten first."""
        self._losses[reply_id] = self._losses.pop(reply_id, 0) + 1
        while len(self._losses) > REMEMBERED:
            self._losses.popitem(last=False)

    def count(self, reply_id: str) -> int:
        """How many losses with this request in hand this process survived."""
        return self._losses.get(reply_id, 0)

    def forget(self, reply_id: str) -> None:
        """The request is settled: a copy of it in another queue is counted from nothing."""
        self._losses.pop(reply_id, None)
