"""How long the oldest message of one queue can have been waiting, from what a consumer sees: counts and deliveries.

Pure, clock passed in. AMQP tells no message's age, so this is an upper bound, never too small while publishers' clocks are right.
"""

from __future__ import annotations


class Backlog:
    """One queue. Messages come in order, so whatever waits was published after what was delivered last."""

    def __init__(self, now: float) -> None:
        """Nothing seen yet; what waits may have been there before us, from `now` on we know more."""
        self.depth = 0
        self._empty_at = now
        self._published = float("-inf")

    def counted(self, depth: int, now: float) -> None:
        """Hear from the broker how many messages are ready. When it says none, whatever waits later has come since."""
        self.depth = depth
        if depth == 0:
            self._empty_at = now

    def delivered(self, published: float) -> None:
        """Hear of a delivery, with the `timestamp` of its publisher. A message delivered again does not turn the clock back."""
        self._published = max(self._published, published)

    def age(self, now: float) -> float:
        """Seconds, at most, that the oldest ready message has waited; 0 when none is ready."""
        return max(0.0, now - max(self._empty_at, self._published)) if self.depth else 0.0
