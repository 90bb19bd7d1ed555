"""How many notes of each caller are in hand, and which of them are too many while others may wait behind them.

What waits at the broker cannot be seen. So others are taken to wait whenever the prefetch is full.
"""

from collections.abc import Callable

from sttd.consumer.request.delivery import Delivery


class OneTooMany(Exception):
    """The caller of this note has its share in hand already: the note goes to the overflow queue."""


class Callers:
    """The notes of the interactive lane that are in hand, by caller as soon as that is known."""

    def __init__(self, share: float, hand: Callable[[], int], moves: Callable[[], bool] = lambda: True) -> None:
        """`share`: of the hand that one caller may fill while others wait; `hand()`: how many notes it can hold now.

        `moves()`: whether anybody serves the overflow queue, as far as is known.
        """
        self._share = share
        self._hand = hand
        self._moves = moves
        self._here: dict[Delivery, str | None] = {}

    def came(self, delivery: Delivery) -> None:
        """A note is in hand from now on.

        Only the interactive lane counts: what has moved to overflow is never moved again.
        """
        if delivery.incoming.lane == delivery.rules.lanes[0]:
            self._here[delivery] = None

    def gone(self, delivery: Delivery) -> None:
        """It is settled, or left to the broker."""
        self._here.pop(delivery, None)

    def admit(self, delivery: Delivery, caller: str | None, *, stays: bool = False) -> None:
        """The caller of a note is known. Raises `OneTooMany`, but not for one that `stays`.

        What was delivered before stays: the broker's count of its deliveries would be lost with a move. It is counted.
        """
        if caller is None or delivery not in self._here:
            return
        hand = self._hand()
        theirs = sum(other == caller for other in self._here.values())
        full = len(self._here) >= hand and theirs >= max(1, int(self._share * hand))
        if full and not (stays or delivery.incoming.redelivered) and self._moves():
            raise OneTooMany
        self._here[delivery] = caller
