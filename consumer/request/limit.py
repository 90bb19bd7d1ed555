"""How long the work on one delivery may take, and what ends it: the caller's deadline or cancel, or the daemon's limit.

Ends the work by cancelling it, so never used around the settlement.
"""

import asyncio
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from sttd.consumer.errors import RequestFailed
from sttd.consumer.request.delivery import Delivery
from sttd.schemas.codes import ErrorCode


class Limit:
    """Bounds the body of an `async with`; leaves it with the `RequestFailed` of the limit that ended it."""

    def __init__(self, delivery: Delivery, deadline: datetime | None) -> None:
        """`deadline`: the option of that name; the message's expiration and the daemon's limit are the delivery's."""
        moments = [moment for moment in (deadline, delivery.expires) if moment is not None]
        self._expires = min(moments) if moments else None
        self._ours = delivery.incoming.received + delivery.rules.job_seconds
        self._seconds = delivery.rules.job_seconds
        self._cancelled = False

    def cancel(self) -> None:
        """End the work now: the caller cancelled it."""
        # A second cancel, or one at the moment of the deadline, finds it ending already.
        if not self._timeout.expired():
            self._cancelled = True
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> Self:
        """Refuse what is too late already: no engine time is spent on it."""
        loop = asyncio.get_running_loop()
        left = (self._expires - datetime.now(UTC)).total_seconds() if self._expires else float("inf")
        if left <= 0:
            raise RequestFailed(ErrorCode.EXPIRED, "the deadline passed before the work began")
        self._theirs = loop.time() + left
        self._timeout = asyncio.timeout_at(min(self._theirs, self._ours))
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise self._failure() from late

    def _failure(self) -> RequestFailed:
        if self._cancelled:
            return cancelled()
        if self._theirs <= self._ours:
            return RequestFailed(ErrorCode.EXPIRED, "the deadline passed before the transcript was ready")
        return RequestFailed(ErrorCode.TIMED_OUT, f"no transcript within {self._seconds:g} s of the delivery")


def cancelled() -> RequestFailed:
    """Make the failure of a request that its caller cancelled."""
    return RequestFailed(ErrorCode.CANCELLED, "the caller cancelled the request")
