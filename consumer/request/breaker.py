"""Stops the intake when engine or decoder fail on request after request, and tries one at a time until one goes well.

Without it, a worker whose model or decoder is broken would use up the tries of a whole queue. Counts requests by their
bodies: retries of one, and one note sent again and again, say nothing about the worker. Runs on the event loop, so it
reads no whole body.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from itertools import chain, repeat
from zlib import crc32

import structlog

from sttd.consumer.bus.seam import Intake
from sttd.consumer.errors import RequestFailed
from sttd.consumer.request.delivery import Delivery
from sttd.schemas.codes import ErrorCode

REASON = "breaker"  # why the intake is paused
PAUSES = (2.0, 4.0, 8.0, 16.0, 32.0)  # s before each try; then the longest
LONGEST = 60.0
MARKED = 64 * 1024  # bytes at each end of a body by which requests are told apart; all of most voice notes
OURS = frozenset({ErrorCode.MODEL_ERROR, ErrorCode.INTERNAL_ERROR})

log = structlog.get_logger(__name__)


class Breaker:
    """Open after `limit` failures of different requests without a success between them; 0: never."""

    def __init__(self, limit: int, changed: Callable[[bool, str], None] = lambda _open, _why: None) -> None:
        """Closed. `changed(open, why)` is called when it opens or closes."""
        self._limit = limit
        self._changed = changed
        self._failed: set[tuple[int, int, int]] = set()
        self._opened = asyncio.Event()
        self._closed = asyncio.Event()
        self._tried = asyncio.Event()
        self._one = asyncio.Lock()

    @property
    def open(self) -> bool:
        """Whether the worker is taken to be broken."""
        return self._opened.is_set()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Where it is open, wait until no other request is being tried: each lane may have delivered one."""
        async with self._one if self.open else nullcontext():
            yield

    def failed(self, delivery: Delivery, error: RequestFailed) -> bool:
        """Count a failure; return whether the worker is at fault rather than the request."""
        if not self._limit or not (error.code in OURS or "decoder" in error.details):
            return False
        if not self.open:
            self._failed.add(_mark(delivery.incoming.body))
            if len(self._failed) >= self._limit:
                self._opened.set()
                self._closed.clear()
                self._changed(True, f"{self._limit} different requests in a row failed, the last with {error.code}")
        self._tried.set()
        return self.open

    def worked(self, delivery: Delivery) -> None:
        """A request went well: it says something about the worker if the model was called for it."""
        self._tried.set()
        if not delivery.begun.is_set():
            return
        self._failed.clear()
        if self.open:
            self._opened.clear()
            self._closed.set()
            self._changed(False, "")

    async def guard(self, intake: Intake) -> None:
        """Pause the intake while it is open, and take one request after each pause, until cancelled."""
        while True:
            await self._opened.wait()
            for pause in chain(PAUSES, repeat(LONGEST)):
                await intake.pause(REASON)
                with suppress(TimeoutError):  # closed by a request that was in hand
                    await asyncio.wait_for(self._closed.wait(), pause)
                if not self.open:
                    break
                log.info("one request is tried", action="breaker_try", after=pause)
                self._tried.clear()
                await intake.resume(REASON, most=1)
                if self.open:
                    await self._tried.wait()
            await intake.resume(REASON)


def _mark(body: bytes) -> tuple[int, int, int]:
    """Equal for equal bodies. Two that share it by chance count as one request: it opens one failure later."""
    return len(body), crc32(body[:MARKED]), crc32(body[-MARKED:])
