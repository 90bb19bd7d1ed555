"""How long the oldest message of one queue can have been waiting, from a consumer's view: counts and deliveries.

Pure, clock passed in. AMQP reports no message's age, so this is an upper bound as long as publishers' clocks are right.
For messages from before this daemon, of which none has come yet, it is only the time since the daemon began to measure.
"""

NEVER = float("-inf")


class Backlog:
    """One queue. Messages come in order, so whatever waits was published after what was delivered last."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._depth = 0
        self._empty_at = NEVER
        self._published = NEVER

    def counted(self, depth: int, now: float) -> None:
        """Take the broker's count of ready messages. When it is zero, whatever waits later has come since."""
        self._depth = depth
        if depth == 0:
            self._empty_at = now

    def delivered(self, published: float) -> None:
        """Take a delivery, with the `timestamp` of its publisher.

        A message delivered again does not turn the clock back.
        """
        self._published = max(self._published, published)

    def age(self, now: float) -> float:
        """Seconds, at most, that the oldest ready message has waited; 0 when none is ready."""
        if not self._depth:
            return 0.0
        known = max(self._empty_at, self._published)
        return max(0.0, now - (self._began if known == NEVER else known))
