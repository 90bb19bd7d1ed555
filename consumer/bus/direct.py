"""Keeps replies to RabbitMQ's direct reply-to apart: on a connection of their own, one at a time.

Such an address is the caller's claim about a process inside the broker. An address that no node of the cluster has
closes the connection that checks it (541). Here that costs no other answer: the next direct reply waits for a
reconnect, no more.
"""

import asyncio
from dataclasses import replace

from sttd.consumer.bus.direct_address import PREFIX
from sttd.consumer.bus.publisher import AmqpPublisher
from sttd.consumer.bus.seam import Outgoing
from sttd.consumer.errors import Unroutable


class SplitPublisher:
    """Implements `Publisher` with two connections: `main` for everything but direct replies, `direct` for those."""

    def __init__(self, main: AmqpPublisher, direct: AmqpPublisher, *, looks: bool) -> None:
        """`looks`: whether to check for the requester before a direct reply is published."""
        self._main = main
        self._direct = direct
        self._looks = looks
        self._one_at_a_time = asyncio.Lock()

    async def publish(self, message: Outgoing) -> None:
        """See `Publisher.publish`.

        RabbitMQ confirms a direct reply even when it is not delivered, and 3.10 and 4.0 return a mandatory one even
        when it is. So mandatory here means a check just before; a requester that leaves between the two is missed.
        """
        if message.exchange or not message.routing_key.startswith(PREFIX):
            await self._main.publish(message)
            return
        async with self._one_at_a_time:
            if message.mandatory and not await self._there(message.routing_key):
                raise Unroutable("the requester has gone")
            await self._direct.publish(replace(message, mandatory=False))

    async def requester_there(self, target: str) -> bool:
        """Whether the requester behind a direct reply-to is still connected.

        True when the broker cannot be asked.
        """
        async with self._one_at_a_time:
            return await self._there(target)

    async def _there(self, target: str) -> bool:
        return not self._looks or await self._direct.exists(target)
