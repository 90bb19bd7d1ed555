"""Keeps replies to RabbitMQ's direct reply-to away from all others: on a connection of their own, one at a time.

Such an address is the caller's own word for a process inside the broker. One that no node of the cluster knows closes the
connection that looks at it (541). Here that costs nobody else an answer: the next direct reply waits for a reconnect, no more.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sttd.consumer.bus.direct_address import PREFIX
from sttd.consumer.bus.publisher import AmqpPublisher
from sttd.consumer.bus.seam import Outgoing
from sttd.consumer.errors import Unroutable


class SplitPublisher:
    """Implements `Publisher` with two connections: `main` for everything but direct replies, `direct` for those."""

    def __init__(self, main: AmqpPublisher, direct: AmqpPublisher, *, looks: bool) -> None:
        """Receive both; somebody else runs them. `looks`: whether to ask for the requester before a direct reply is published."""
        self._main = main
        self._direct = direct
        self._looks = looks
        self._one_at_a_time = asyncio.Lock()

    async def publish(self, message: Outgoing) -> None:
        """See `Publisher.publish`.

        RabbitMQ confirms a direct reply whether anybody gets it or not, and a mandatory one 3.10 and 4.0 return even when it
        arrives. So mandatory here means a look just before; who leaves between the two is missed.
        """
        if message.exchange or not message.routing_key.startswith(PREFIX):
            await self._main.publish(message)
            return
        async with self._one_at_a_time:
            if message.mandatory and not await self._there(message.routing_key):
                raise Unroutable("the requester has gone")
            await self._direct.publish(replace(message, mandatory=False))

    async def requester_there(self, target: str) -> bool:
        """Tell whether the requester behind a direct reply-to is still connected; True when the broker cannot be asked."""
        async with self._one_at_a_time:
            return await self._there(target)

    async def _there(self, target: str) -> bool:
        return not self._looks or await self._direct.exists(target)
