"""The gateway's one client: opened in the background, however late the broker comes, and asked for the queue's state.

It asks the broker once a second at most, however many calls ask, and decides whether a call waits or gets 503 or 429.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

import structlog

from sttd import Client
from sttd.errands import QueueState
from sttd.errors import BrokerBlocked, BrokerUnavailable, NotServed, NotVisible
from sttd.gateway.problems import busy, unavailable
from sttd.schemas import names

LONGEST_PAUSE_SECONDS: Final = 15.0
FRESH_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Broker:
    """Gives the open client, or the reason why a call would not be served."""

    def __init__(self, client: Client, max_queued: int, grace_seconds: float) -> None:
        """Open nothing yet. `grace_seconds`: how long a call waits for a daemon or broker that is away."""
        self._client = client
        self._max_queued = max_queued
        self._grace_seconds = grace_seconds
        self._trouble = "not connected yet"
        self._looking: asyncio.Task[QueueState] | None = None
        self._looked = 0.0
        self._opened = False
        self._told_unseen = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the client, in the background while the broker is away, and close it at the end."""
        opener = asyncio.create_task(self._open(), name="open the client")
        opener.add_done_callback(self._watch)
        try:
            yield
        finally:
            opener.cancel()
            await asyncio.gather(opener, return_exceptions=True)
            await self._client.close()

    def _watch(self, opener: asyncio.Task[None]) -> None:
        """Only the end stops the opener before it is connected; if an error does, health and every call report it."""
        error = None if opener.cancelled() else opener.exception()
        if error is not None:
            self._trouble = "the gateway failed to connect; the reason is in its log, a restart may help"
            log.error("connecting failed", action="broker_failed", exc_info=error)

    async def _open(self) -> None:
        pause = 0.5
        while True:
            try:
                await self._client.open()
            except BrokerUnavailable as error:
                self._trouble = str(error)
                log.warning(
                    "no broker yet; trying again", action="broker_away", reason=self._trouble, pause_seconds=pause
                )
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self._opened = True
                log.info("connected to the broker", action="broker_connected")
                return

    async def state(self) -> QueueState:
        """The state of the queue, at most a second ago. Raises `BrokerUnavailable`, `NotServed` or `NotVisible`."""
        if not self._opened:
            raise BrokerUnavailable(self._trouble)
        now = asyncio.get_running_loop().time()
        if (
            self._looking is None
            or not self._client.connected
            or (self._looking.done() and now - self._looked >= FRESH_SECONDS)
        ):
            self._looked = now
            self._looking = asyncio.create_task(self._see(), name="look at the queue")
        return await asyncio.shield(self._looking)

    async def _see(self) -> QueueState:
        """The queue, and what daemons have moved to its overflow: nothing where that is hidden, or not there yet."""
        state = await self._client.queue_state()
        with suppress(NotServed, NotVisible):
            moved = await self._client.queue_state(names.overflow_of(self._client.request_queue))
            return replace(state, waiting=state.waiting + moved.waiting)
        return state

    async def admit(self) -> Client:
        """The client, if a daemon works on the queue and the queue is not too long. Raises `Problem` 429 or 503.

        A daemon or broker that is away has the grace period to come back. Nothing is queued before: the copies of
        callers who come again would all be transcribed later, and nobody reads those answers.
        """
        state = await self._served()
        if state is not None and state.waiting >= self._max_queued:
            raise busy(f"{state.waiting} requests wait in the queue already; try again later", "queue_deep")
        return self._client

    async def _served(self) -> QueueState | None:
        clock = asyncio.get_running_loop().time
        until = clock() + self._grace_seconds
        while True:
            try:
                return await self._look()
            except (BrokerUnavailable, NotServed) as error:
                silent = isinstance(error, BrokerUnavailable) and not isinstance(error, BrokerBlocked)
                if silent and self._opened and self._client.connected:
                    return None  # a busy machine answers late; of a broker that died the heartbeat tells
                if clock() >= until:
                    raise unavailable(str(error), error.code) from None
            await asyncio.sleep(min(FRESH_SECONDS, max(0.0, until - clock())))

    async def why_not(self) -> str | None:
        """Why nothing can be transcribed now; None if it can, as far as is known."""
        try:
            await self._look()
        except (BrokerUnavailable, NotServed) as error:
            return str(error)
        return None

    async def _look(self) -> QueueState | None:
        """The queue, if a daemon works on it; None where it is hidden. Raises `BrokerUnavailable`, `NotServed`."""
        try:
            state = await self.state()
        except NotVisible as error:
            self._tell_unseen(error)
            return None
        if not state.consumers:
            raise NotServed("no daemon works on the queue: start one with `sttd serve`, or see why it ended")
        return state

    def _tell_unseen(self, error: NotVisible) -> None:
        """Once: calls are served without a view of the queue, but never refused because it is long."""
        if not self._told_unseen:
            self._told_unseen = True
            log.warning(
                "the queue's state is not visible: health covers the broker only, and the queue's length is not "
                "limited",
                action="queue_unseen",
                reason=str(error),
            )
