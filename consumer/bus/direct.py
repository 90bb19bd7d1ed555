"""Keeps replies to RabbitMQ's direct reply-to away from all others: on a connection of their own, one at a time.

Such an address is the caller's own word for a process inside the broker. A forged one closes the connection that publishes to
it (541 on 3.10), each time. Here that costs nobody else an answer: the next direct reply waits for a reconnect, no more, and
what failed is known to be the one that was being published.
"""

from __future__ import annotations

import asyncio

from sttd.consumer.bus.publisher import AmqpPublisher
from sttd.consumer.bus.seam import Outgoing
from sttd.schemas import names

PREFIX = f"{names.DIRECT_REPLY_TO}."


class SplitPublisher:
    """Implements `Publisher` with two connections: `main` for everything but direct replies, `direct` for those."""

    def __init__(self, main: AmqpPublisher, direct: AmqpPublisher) -> None:
        """Receive both; somebody else runs them."""
        self._main = main
        self._direct = direct
        self._one_at_a_time = asyncio.Lock()

    async def publish(self, message: Outgoing) -> None:
        """See `Publisher.publish`."""
        if message.exchange or not message.routing_key.startswith(PREFIX):
            await self._main.publish(message)
            return
        async with self._one_at_a_time:
            await self._direct.publish(message)

    async def requester_there(self, target: str) -> bool:
        """Tell whether the requester behind a direct reply-to is still connected; True when the broker cannot be asked."""
        async with self._one_at_a_time:
            return await self._direct.exists(target)
