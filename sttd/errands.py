"""The client's errands beside its requests: a look at a queue, a request taken back. Each has a channel of its own.

Imports aio_pika and schemas. A refused errand closes its channel and nothing else; never reconnects, never declares anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity

from schemas import names
from schemas.control import Cancel

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


async def cancel(connection: AbstractConnection, message_id: str) -> None:
    """Tell every daemon that nobody waits for this request any more; a broker without the exchange has no daemon to tell."""
    channel = await connection.channel(publisher_confirms=True)
    try:
        exchange = await channel.get_exchange(names.CONTROL_EXCHANGE, ensure=False)
        body = Cancel(cancel=message_id).model_dump_json().encode()
        await exchange.publish(aio_pika.Message(body, content_type="application/json"), "", mandatory=False)
    except ChannelClosed:
        return
    await channel.close()
