"""What the metrics read from other parts at each scrape.

The engine fits by its shape.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

Lane = Literal["interactive", "overflow", "bulk"]


class Engine(Protocol):
    """Live counts of model calls. Asked from the side port, so they must not block."""

    @property
    def busy(self) -> int:
        """Calls that run."""

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""

    @property
    def context_reruns(self) -> Mapping[str, int]:
        """Windows computed again in full, by reason; a reason that never came may be missing."""

    def waiting_of(self, lane: Lane) -> int:
        """Those of `waiting` that belong to one lane."""
