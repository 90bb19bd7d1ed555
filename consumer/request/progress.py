"""Progress replies of one request: from the job's thread to the caller, never after the answer.

Late progress is worthless: an unconfirmed one is dropped, not repeated.
"""

import asyncio
from typing import Self

import structlog

from sttd.consumer.bus.seam import Publisher
from sttd.consumer.errors import BusError
from sttd.consumer.request import copies
from sttd.consumer.request.delivery import Delivery
from sttd.schemas.reply import Progress

log = structlog.get_logger(__name__)


class ProgressReporter:
    """Publishes the latest progress while the context lasts; intermediate ones may be skipped."""

    def __init__(self, publisher: Publisher, delivery: Delivery) -> None:
        self._publisher = publisher
        self._delivery = delivery
        self._loop = asyncio.get_running_loop()
        self._latest: Progress | None = None
        self._news = asyncio.Event()

    def report(self, fraction: float, text: str) -> None:
        """Take a report from the job's thread; `fraction` in [0, 1)."""
        self._loop.call_soon_threadsafe(self._take, fraction, text)

    def _take(self, fraction: float, text: str) -> None:
        self._latest = Progress(
            correlation_id=self._delivery.correlation_id,
            message_id=self._delivery.message_id,
            fraction=min(max(fraction, 0.0), 1.0),
            text=text,
        )
        self._news.set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._publish(), name="progress")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop before the answer goes out: the answer is the last message."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _publish(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if self._latest is None:
                continue
            try:
                await self._publisher.publish(copies.reply(self._delivery, self._latest))
            except BusError as error:
                log.debug("a progress message was dropped", action="progress_dropped", reason=error.message)
