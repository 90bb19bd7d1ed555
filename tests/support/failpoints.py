"""The daemon with a fault at one named point of a request's way: run in place of `python -m sttd.consumer`.

The product has no such points: they are put before and after methods of the request package, in this process only.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from sttd.consumer.engine import environment

POINTS: Final = ("received", "decoded", "transcribed", "before_reply", "after_confirm", "after_ack")
SIGNALS: Final = {"": signal.SIGKILL, "stop": signal.SIGSTOP}

Reached = Callable[[str, str | None], None]


class FailPoint:
    """Sends the process SIGKILL, or SIGSTOP, when a point is reached for the n-th time, by any or by one request."""

    def __init__(self, where: str) -> None:
        place, _, self._message_id = where.partition("@")
        self._name, nth, how, *_ = [*place.split(":"), "", ""]
        if self._name not in POINTS:
            raise ValueError(f"{self._name!r} is no fail point; one of {', '.join(POINTS)}")
        self._left = int(nth or 1)
        self._signal = SIGNALS[how]

    def reached(self, point: str, message_id: str | None) -> None:
        """Die or stand still here, if this is the place, the time and the request."""
        if point != self._name or self._message_id not in {"", message_id}:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signal)


def install(reached: Reached, patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Have `reached` called with the point's name and the request's message id at each of `POINTS`."""
    from sttd.consumer.request.handler import Handler  # noqa: PLC0415 - imports numpy, which main() prepares for
    from sttd.consumer.request.settlement import Settlement  # noqa: PLC0415 - as above

    def before(owner: type, name: str, point: str, delivery: Callable[..., Any]) -> None:
        method = getattr(owner, name)

        @wraps(method)
        def wrapped(*args: Any) -> Any:
            reached(point, delivery(*args).message_id)
            return method(*args)

        patch(owner, name, wrapped)

    def after(owner: type, name: str, point: str, delivery: Callable[..., Any]) -> None:
        method: Callable[..., Awaitable[Any]] = getattr(owner, name)

        @wraps(method)
        async def wrapped(*args: Any) -> Any:
            result = await method(*args)
            reached(point, delivery(*args).message_id)
            return result

        patch(owner, name, wrapped)

    before(Handler, "judge", "received", _second)
    before(Handler, "_transcribe", "decoded", _second)
    before(Handler, "_assemble", "transcribed", _second)
    before(Settlement, "_carry_out", "before_reply", _own)
    before(Settlement, "_ack", "after_confirm", _own)
    after(Settlement, "_ack", "after_ack", _own)


def _second(_self: Any, delivery: Any, *_rest: Any) -> Any:
    return delivery


def _own(settlement: Any, *_rest: Any) -> Any:
    return settlement.delivery


def main(where: str) -> int:
    """Run the daemon with this fail point."""
    environment.prepare()
    install(FailPoint(where).reached)
    from sttd.consumer.__main__ import main as daemon  # noqa: PLC0415 - after the points are in place

    return daemon()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
