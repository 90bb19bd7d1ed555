"""One request queue of this daemon: its consumers, and how many of its messages are not settled yet.

RabbitMQ counts a prefetch for each consumer (quorum queues have no other), and what a cancelled consumer has in hand
counts for none. So a consumer that is registered anew takes only what the earlier ones have left: else each pause would
add a whole prefetch to what is in hand.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from uuid import uuid4

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from sttd.consumer.bus.deliveries import AmqpSettler, stale
from sttd.consumer.bus.link import lost_as
from sttd.consumer.errors import StaleDelivery

CANCEL_SECONDS: Final = 5.0


class LaneConsumer:
    """One queue on a channel of its own."""

    def __init__(self, name: str, channel: AbstractChannel, queue: AbstractQueue) -> None:
        self.name = name
        self._channel = channel
        self._queue = queue
        self._prefetch: dict[str, int] = {}
        self._in_hand = Counter[str]()

    @property
    def consuming(self) -> bool:
        """Whether it has a consumer."""
        return bool(self._prefetch)

    def left(self, most: int) -> int:
        """How many of `most` neither its consumers can take nor cancelled ones have in hand."""
        orphans = sum(count for tag, count in self._in_hand.items() if tag not in self._prefetch)
        return most - sum(self._prefetch.values()) - orphans

    async def fill(self, most: int, deliver: Callable[[AbstractIncomingMessage], Awaitable[None]]) -> None:
        """Register a consumer for what is left of `most`, if anything is.

        A second one only when what cancelled ones had in hand is settled: not one for each message.
        """
        left = self.left(most)
        if left <= 0 or (self.consuming and left < most - sum(self._prefetch.values())):
            return
        tag = uuid4().hex
        await self._channel.set_qos(prefetch_count=left)
        self._prefetch[tag] = left  # before it is registered: its first messages come before the broker's answer
        try:
            await self._queue.consume(deliver, consumer_tag=tag)
        except BaseException:
            self._prefetch.pop(tag, None)
            raise

    def took(self, message: AbstractIncomingMessage, settled: Callable[[], None]) -> AmqpSettler:
        """Count a message that has come; `settled()` is called after it is settled and no longer counts."""
        tag = message.consumer_tag or ""
        self._in_hand[tag] += 1

        def out_of_hand() -> None:
            self._in_hand -= Counter((tag,))  # a tag without messages goes: each pause makes a new one
            settled()

        return AmqpSettler(message, out_of_hand)

    async def leave(self) -> None:
        """Cancel its consumers. What they have in hand stays in hand."""
        tags, self._prefetch = list(self._prefetch), {}
        for tag in tags:
            # A lost connection has no consumer either.
            with suppress(TimeoutError, StaleDelivery, *CONNECTION_EXCEPTIONS), lost_as(stale):
                async with asyncio.timeout(CANCEL_SECONDS):
                    await self._queue.cancel(tag)
