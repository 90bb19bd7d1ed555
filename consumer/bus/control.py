"""Receives cancels and an operator's orders: from two exchanges, each into an exclusive queue of this daemon.

Both are best effort: an error here must not end the session that carries requests.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import uuid4

import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelClosed
from pydantic import BaseModel, ValidationError

from sttd.consumer.bus import direct_address
from sttd.schemas import names
from sttd.schemas.cancel import Cancel
from sttd.schemas.order import Order

MOST_WAITING = 10_000  # messages queued while the daemon does not read; older ones are dropped
LONGEST_BODY = 1024  # bytes; a message id has 255 at most

Orders = Callable[[Order, str, str | None], Awaitable[None]]
"""Takes an order, the address for its answer, and the answer's correlation id."""

M = TypeVar("M", bound=BaseModel)

log = structlog.get_logger(__name__)


async def hear_cancels(connection: AbstractConnection, cancel: Callable[[str], None]) -> AbstractQueue | None:
    """Call `cancel` with each message id that a caller cancels, as long as the connection lasts.

    Return our queue, bound to the exchange; None where the broker refuses one.
    """

    async def heard(message: AbstractIncomingMessage) -> None:
        asked = _read(Cancel, message)
        if asked is not None:
            cancel(asked.cancel)

    try:
        return await _listen(connection, names.CONTROL_EXCHANGE, heard)
    except ChannelClosed as error:
        log.warning(
            "no cancels are received: the daemon's user may not have a queue of its own at %s; see docs/operations.md",
            names.CONTROL_EXCHANGE,
            action="control_refused",
            reason=str(error)[:200],
        )
        return None


async def hear_orders(connection: AbstractConnection, obey: Orders, ignored: Callable[[], None]) -> None:
    """Call `obey` with each order of an operator, `ignored` for everything else. Raises `ChannelClosed` if refused.

    Whoever may publish to the default exchange can reach the queue past the exchange: its permissions must hold.
    """

    async def heard(message: AbstractIncomingMessage) -> None:
        order = _read(Order, message) if message.exchange == names.OPERATOR_EXCHANGE else None
        if order is None or not direct_address.genuine(message.reply_to or ""):
            ignored()
            return
        await obey(order, message.reply_to or "", message.correlation_id)

    await _listen(connection, names.OPERATOR_EXCHANGE, heard)


async def _listen(
    connection: AbstractConnection, exchange: str, heard: Callable[[AbstractIncomingMessage], Awaitable[None]]
) -> AbstractQueue:
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue(
        f"{exchange}.{uuid4()}", exclusive=True, auto_delete=True, arguments={"x-max-length": MOST_WAITING}
    )
    await queue.bind(exchange)
    await queue.consume(heard, no_ack=True)
    return queue


def _read(kind: type[M], message: AbstractIncomingMessage) -> M | None:
    if message.body_size <= LONGEST_BODY:
        try:
            return kind.model_validate_json(message.body)
        except ValidationError:
            pass
    log.warning("a message is no %s", kind.__name__.lower(), action="control_ignored", bytes=message.body_size)
    return None
