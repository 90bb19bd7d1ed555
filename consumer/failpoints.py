"""Named points of a request's story at which the process can be told to die: how the chaos tests prove what a crash costs.

Imports the standard library only. Without STTD_FAILPOINT it does nothing.
"""

from __future__ import annotations

import os
import signal
from typing import Final, Literal, get_args

Point = Literal["received", "decoded", "transcribed", "before_reply", "after_confirm", "after_ack"]
POINTS: Final[tuple[Point, ...]] = get_args(Point)


class FailPoints:
    """Kills the process with SIGKILL when one named point is reached for the n-th time."""

    def __init__(self, where: str | None = None) -> None:
        """`where`: `name` or `name:n`; None never fails. Raises `ValueError` for a name that no code passes."""
        name, _, nth = (where or "").partition(":")
        if name and name not in POINTS:
            raise ValueError(f"{name!r} is no fail point; one of {', '.join(POINTS)}")
        self._name = name
        self._left = int(nth or 1)

    def reached(self, point: Point) -> None:
        """Die here, if this is the place and the time."""
        if point != self._name:
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
