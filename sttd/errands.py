"""The state of a queue: how many requests wait, and how many daemons serve it; and whether the broker takes more.

On a channel of its own, which a refusal closes; never reconnects, never declares anything.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity

from sttd import errors
from sttd.quiet import quiet
from sttd.service.broker_errors import as_connection_error

ERRAND_SECONDS: Final = 3.0
"""How long one check may take; the broker answers in milliseconds or is in trouble."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """The broker's counts of a queue: requests that wait in it (not those in hand), and daemons that consume it."""

    waiting: int
    consumers: int


def refused(error: BaseException) -> bool:
    """Whether it was the user's permissions that the broker closed the channel for."""
    return "ACCESS_REFUSED" in str(error)


async def blocked(connection: AbstractConnection) -> bool:
    """Whether the broker holds back what this connection publishes; waits for nothing."""
    if connection.transport is None:
        return False
    try:
        async with asyncio.timeout(0):
            await connection.transport.ready()
    except TimeoutError:
        return True
    return False


async def look(connection: AbstractConnection, queue: str) -> QueueState | None:
    """Ask passively; None if there is no such queue. Raises `NotVisible` and aio_pika's connection errors."""
    try:
        with quiet(), as_connection_error():
            channel = await connection.channel(publisher_confirms=False)
            declared = (await channel.declare_queue(queue, passive=True)).declaration_result
            await channel.close()
    except ChannelNotFoundEntity:
        return None
    except ChannelClosed as error:
        if not refused(error):
            raise
        raise errors.NotVisible(
            f"the broker's user may not look at queue {queue}: since 4.2.6 RabbitMQ requires a permission on it for "
            "that, such as write (docs/operations.md)"
        ) from error
    return QueueState(declared.message_count or 0, declared.consumer_count or 0)
