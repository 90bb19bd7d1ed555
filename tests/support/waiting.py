"""Waiting for another process or thread, with a deadline: the one place of the tests that reads a clock to give up.

A deadline ends a test that hangs; it measures nothing. It is at least ten times as long as a quiet machine needs, and
only a failure pays for it.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 120.0
"""Seconds for a step that takes a few at most; a start of a daemon among them."""

BRIEFLY: Final = 2.0
"""Seconds that a caller gives an answer that will never come: time for the request to be confirmed, of which it takes a
hundredth."""

POLL: Final = 0.05


class Deadline:
    """A moment after which the wait ends."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; 0 once it has passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return not self.left


def wait_for(
    look: Callable[[], T],
    what: str,
    seconds: float = PATIENCE,
    *,
    words: Callable[[], str] = lambda: "",
    poll: float = POLL,
) -> T:
    """Poll until there is something, and return it.

    `words`: what else a failure reports. Raises `AssertionError` after `seconds`; one more try is made after they are
    over.
    """
    deadline = Deadline(seconds)
    while True:
        late = deadline.passed
        if found := look():
            return found
        if late:
            raise AssertionError(f"no {what} within {seconds:g} s{words()}")
        time.sleep(poll)  # another process sets no event
