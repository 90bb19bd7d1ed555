"""Named points of a request's story at which the process can be told to die or to stand still: how the chaos tests prove what that costs.

Imports the standard library only. Without STTD_FAILPOINT it does nothing.
"""

from __future__ import annotations

import os
import signal
from typing import Final, Literal, get_args

Point = Literal["received", "decoded", "transcribed", "before_reply", "after_confirm", "after_ack"]
POINTS: Final[tuple[Point, ...]] = get_args(Point)
SIGNALS: Final = {"": signal.SIGKILL, "stop": signal.SIGSTOP}


class FailPoints:
    """Sends the process SIGKILL, or SIGSTOP, when one named point is reached for the n-th time, by any or by one request."""

    def __init__(self, where: str | None = None) -> None:
        """`where`: `name[:n[:stop]][@message id]`; None never fails. Raises `ValueError` for what no code passes."""
        place, _, self._message_id = (where or "").partition("@")
        name, _, rest = place.partition(":")
        nth, _, how = rest.partition(":")
        if name and name not in POINTS:
            raise ValueError(f"{name!r} is no fail point; one of {', '.join(POINTS)}")
        if how not in SIGNALS:
            raise ValueError(f"{how!r} is no way to fail; `stop`, or nothing for SIGKILL")
        self._name = name
        self._left = int(nth or 1)
        self._signal = SIGNALS[how]

    def reached(self, point: Point, message_id: str | None) -> None:
        """Die or stand still here, if this is the place, the time and the request."""
        if point != self._name or self._message_id not in {"", message_id}:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signal)
