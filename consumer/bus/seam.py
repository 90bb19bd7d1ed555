"""The seam to the broker: what arrives, what is published, the verbs that settle. Tests put a memory bus behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from sttd.schemas.request import JSON_TYPE, Properties


class Settler(Protocol):
    """The one delivery's way back to the broker. Raises `StaleDelivery` when its channel is gone."""

    async def ack(self) -> None:
        """Ack: something durable replaces the message."""

    async def reject(self) -> None:
        """Hand the message to the broker's dead-lettering (never back to the queue)."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One delivery as the broker made it. `malformed`: why its properties could not be read, else None.

    `deliveries`: how often the broker delivered it before (quorum queues count). `received`: event loop clock, seconds.
    """

    lane: str
    body: bytes
    properties: Properties
    settler: Settler
    received: float
    received_at: datetime
    redelivered: bool = False
    deliveries: int = 0
    malformed: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One publish. `message_id` is fresh for replies: aiormq finds the publish that a return belongs to by it.

    `expiration`: seconds. `mandatory`: it is an error when no queue takes it.
    """

    routing_key: str
    body: bytes
    exchange: str = ""
    content_type: str | None = JSON_TYPE
    content_encoding: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    message_id: str = field(default_factory=lambda: str(uuid4()))
    timestamp: datetime | None = None
    expiration: float | None = None
    type: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    mandatory: bool = True


class Publisher(Protocol):
    """Publishes and waits for the broker's confirm."""

    async def publish(self, message: Outgoing) -> None:
        """Return once the broker confirmed. Raises `Unroutable`, `PublishForbidden` or `Unconfirmed`."""


class Intake(Protocol):
    """What the worker needs of the consuming half."""

    async def pause(self, reason: str) -> None:
        """Take no more deliveries until `resume` with this reason; when it returns, what was on its way has arrived."""

    async def resume(self, reason: str, most: int | None = None) -> None:
        """Take deliveries again, unless paused for another reason; `most` of each lane at a time, if given."""

    def reconnect(self, reason: str) -> None:
        """Give everything in hand back to the broker, which delivers it again and counts that."""


class BusObserver(Protocol):
    """Receives the state of the connections: metrics, health and logs, in one place."""

    def connected(self, role: str) -> None:
        """Report that a connection is up (`consume`, `publish` or `direct`)."""

    def lost(self, role: str, reason: str) -> None:
        """Report that a connection is down, or could not be made."""

    def blocked(self, role: str, blocked: bool) -> None:
        """Report whether the broker reads what we publish (memory or disk alarm)."""
