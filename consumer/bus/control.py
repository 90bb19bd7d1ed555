"""Receives cancels from the control exchange: an exclusive queue of this daemon, gone with its connection.

Cancels are best effort: an error here must not end the session that carries requests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import uuid4

import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelClosed
from pydantic import ValidationError

from sttd.schemas import names
from sttd.schemas.cancel import Cancel

MOST_WAITING = 10_000  # cancels queued while the daemon does not read; older ones are dropped
LONGEST_BODY = 1024  # bytes; a message id has 255 at most

log = structlog.get_logger(__name__)


async def listen(connection: AbstractConnection, cancel: Callable[[str], None]) -> None:
    """Call `cancel` with each message id that a caller cancels, as long as the connection lasts."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        queue = await channel.declare_queue(
            f"{names.CONTROL_EXCHANGE}.{uuid4()}",
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length": MOST_WAITING},
        )
        await queue.bind(names.CONTROL_EXCHANGE)
        await queue.consume(partial(_heard, cancel), no_ack=True)
    except ChannelClosed as error:
        log.warning(
            "cancels are not received: the daemon's user may not have a queue of its own; see docs/operations.md",
            action="control_refused",
            reason=str(error)[:200],
        )


async def _heard(cancel: Callable[[str], None], message: AbstractIncomingMessage) -> None:
    if message.body_size > LONGEST_BODY:
        return
    try:
        asked = Cancel.model_validate_json(message.body)
    except ValidationError:
        log.warning("a message on the control exchange is no cancel", action="control_ignored", bytes=message.body_size)
        return
    cancel(asked.cancel)
