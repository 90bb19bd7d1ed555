"""A look at a queue: how many requests wait, and how many daemons serve it. On a channel of its own, which a refusal closes.

Imports aio_pika only; never reconnects, never declares anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

ERRAND_SECONDS: Final = 3.0
"""How long one errand may take; the broker answers in milliseconds or is in trouble."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """What the broker says of a queue: requests that wait in it (not those in hand), and how many daemons consume it."""

    waiting: int
    consumers: int


async def look(connection: AbstractConnection, queue: str) -> QueueState | None:
    """Ask passively; None if there is no such queue. Raises aio_pika's connection errors."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        declared = (await channel.declare_queue(queue, passive=True)).declaration_result
    except ChannelNotFoundEntity:
        return None
    await channel.close()
    return QueueState(declared.message_count or 0, declared.consumer_count or 0)
