"""Deliveries as the rest of the daemon sees them: aio-pika's messages translated, and settled on their own channel.

Never settles a message by itself.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aio_pika.abc import AbstractIncomingMessage

from sttd.consumer.bus import header_guard
from sttd.consumer.bus.link import lost_as
from sttd.consumer.bus.seam import Incoming, Settler
from sttd.consumer.errors import StaleDelivery
from sttd.schemas.request import Properties


class AmqpSettler:
    """Settles one delivery on the channel that it came from; another channel would answer 406 and close."""

    def __init__(self, message: AbstractIncomingMessage, settled: Callable[[], None]) -> None:
        """Hold on to the delivery's own channel; `settled()` is called once the message is out of hand."""
        self._message = message
        self._settled = settled

    async def ack(self) -> None:
        """See `Settler.ack`."""
        with lost_as(stale):
            await self._message.ack()
        self._settled()

    async def reject(self) -> None:
        """See `Settler.reject`."""
        with lost_as(stale):
            await self._message.reject(requeue=False)
        self._settled()


def stale(_error: BaseException) -> StaleDelivery:
    """What any error of a lost channel means here."""
    return StaleDelivery("the channel of this delivery is gone; the broker delivers it again")


def incoming(lane: str, message: AbstractIncomingMessage, settler: Settler) -> Incoming:
    """Translate aio-pika's message. `settler`: its way back."""
    headers: dict[str, Any] = dict(message.headers or {})
    redelivered = bool(message.redelivered)
    return Incoming(
        lane=lane,
        body=message.body,
        properties=_properties(message, headers),
        settler=settler,
        received=asyncio.get_running_loop().time(),
        received_at=datetime.now(UTC),
        redelivered=redelivered,
        # On a first delivery quorum queues write no count, so one that is there came from the caller.
        deliveries=_count(headers.get("x-delivery-count")) if redelivered else 0,
        malformed=header_guard.reason_of(headers),
    )


def _properties(message: AbstractIncomingMessage, headers: dict[str, Any]) -> Properties:
    expiration = message.expiration
    return Properties(
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to or None,
        message_id=message.message_id,
        expiration=expiration if isinstance(expiration, int | float) else None,
        timestamp=_aware(message.timestamp),
        headers=headers,
    )


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0
