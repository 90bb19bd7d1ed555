"""Publishes with confirms, mandatory routing and a deadline, and translates the broker's answers into our errors.

Never acks anything and never decides what a failure means for the request.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelNotFoundEntity, DeliveryError, PublishError
from aiormq.exceptions import ConnectionInternalError
from pamqp.commands import Basic, Queue

from sttd.consumer.bus.link import Link, Loss, lost_as, open_channel
from sttd.consumer.bus.seam import BusObserver, Outgoing
from sttd.consumer.errors import PublishForbidden, Unconfirmed, Unroutable
from sttd.schemas import names
from sttd.service.broker_errors import UNWRITABLE, as_connection_error

DEFAULT_EXCHANGE = "amq.default"  # its name in the broker's words
CONFIRM_SECONDS = 10.0
LOOK_SECONDS = 2.0  # a check takes a millisecond; a broker in trouble must not hold up what does not need the check
BLOCKED_LOOK = 1.0  # s between two checks whether the broker has blocked us


@dataclass(slots=True)
class _Turn:
    """The lock of one message id, and how many publishes use it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class _Look(Queue.Declare):
    """A passive declare of a name that pamqp takes for impossible: those of direct reply-to end in `==`."""

    def validate(self) -> None:
        """Let the broker judge the name."""


class AmqpPublisher:
    """The publishing half of the bus, on a connection of its own: a blocked publisher must not stop acks."""

    def __init__(self, link: Link, observer: BusObserver, confirm_seconds: float = CONFIRM_SECONDS) -> None:
        """`observer` gets the state of the connection; `confirm_seconds` bounds each publish, a reconnect included."""
        self._link = link
        self._observer = observer
        self._confirm_seconds = confirm_seconds
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._looks: AbstractChannel | None = None
        self._loss: Loss | None = None
        self._blocked = False
        self._open = asyncio.Event()
        self._turns: dict[str, _Turn] = {}
        self._watch: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Keep the publishing connection up until cancelled."""
        await self._link.run(self._session, self._ended)

    async def _session(self, connection: AbstractConnection, loss: Loss) -> None:
        self._connection, self._loss = connection, loss
        self._channel = channel = await open_channel(connection, loss, confirms=True)

        def closed(*_: object) -> None:
            if self._connection is connection:  # a node that was left for its silence ends when the next one serves
                self._open.clear()

        # At once, not when the link gets to it: a publish on a closed connection would count as a failed try.
        connection.close_callbacks.add(closed)
        channel.close_callbacks.add(closed)
        self._watch = loss.watch(self._watch_blocked(connection), "the watch over the publishing connection")
        self._open.set()

    def _ended(self) -> None:
        self._open.clear()
        self._channel = self._looks = self._connection = self._loss = None
        if self._watch is not None:
            self._watch.cancel()

    async def _watch_blocked(self, connection: AbstractConnection) -> None:
        """Poll, because aiormq reports no block by the broker: its `ready()` just does not return then."""
        while True:
            try:
                async with asyncio.timeout(BLOCKED_LOOK):
                    if connection.transport is not None:
                        await connection.transport.ready()
                self._set_blocked(False)
                await asyncio.sleep(BLOCKED_LOOK)
            except TimeoutError:
                self._set_blocked(True)

    def _set_blocked(self, blocked: bool) -> None:
        self._blocked = blocked
        self._observer.blocked(self._link.role, blocked)

    async def publish(self, message: Outgoing) -> None:
        """See `Publisher.publish`."""
        with lost_as(lambda error: _translated(error, message.exchange)):
            await self._publish_confirmed(message)

    async def exists(self, queue: str) -> bool:
        """Whether this queue exists.

        True also when the broker cannot be asked: work is not refused on a guess.
        """
        try:
            with as_connection_error():
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._open.wait()
                    await self._look(queue)
        except (ChannelNotFoundEntity, ConnectionInternalError):  # 541: a direct reply-to address of an unknown node
            return False
        except (TimeoutError, *CONNECTION_EXCEPTIONS):
            return True
        return True

    async def _look(self, queue: str) -> None:
        if self._connection is None:
            return
        if self._looks is None or self._looks.is_closed:  # a declare of a missing queue closes the channel
            self._looks = await self._connection.channel(publisher_confirms=False)
        underlay: Any = await self._looks.get_underlay_channel()  # its abstract class does not show `rpc`
        await underlay.rpc(_Look(queue=queue, passive=True))

    async def _publish_confirmed(self, message: Outgoing) -> None:
        loss = None
        try:
            # publish(timeout=) does not cover waiting for a channel (aio-pika): the outer timeout does.
            async with asyncio.timeout(self._confirm_seconds), self._alone(message.message_id):
                await self._open.wait()
                loss = self._loss
                confirmation = await self._publish(message)
        except PublishError as error:
            raise Unroutable(f"no queue takes {message.routing_key!r}") from error
        except DeliveryError as error:
            raise Unconfirmed("the broker refused the message (nack)") from error
        except TimeoutError as error:
            self._leave_silent_node(loss)
            raise Unconfirmed(f"no confirm within {self._confirm_seconds:g} s") from error
        except UNWRITABLE as error:
            # Not sent, whatever the connection does: the same bytes would fail again.
            raise Unroutable(f"the message cannot be written: {type(error).__name__}") from error
        if not isinstance(confirmation, Basic.Ack):
            raise Unconfirmed(f"the broker answered {type(confirmation).__name__} instead of an ack")

    def _leave_silent_node(self, loss: Loss | None) -> None:
        """Go to another node, if there is one: this one may be cut off from the others for a long time.

        `loss`: of the session that confirmed nothing. Another publish may have left it already, and the next session is
        not at fault. A broker that has blocked us confirms nothing on any node.
        """
        if self._link.several and loss is not None and not self._blocked:
            loss.report(f"no confirm within {self._confirm_seconds:g} s")

    async def _publish(self, message: Outgoing) -> object:
        channel = self._channel
        if channel is None:
            raise Unconfirmed("the connection went away")
        exchange = await channel.get_exchange(message.exchange, ensure=False)
        return await exchange.publish(_amqp(message), message.routing_key, mandatory=message.mandatory)

    @asynccontextmanager
    async def _alone(self, message_id: str) -> AsyncIterator[None]:
        """One publish at a time per message id.

        aiormq attributes returns by it, and callers choose the ids of copies.
        """
        turn = self._turns.setdefault(message_id, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[message_id]


def _translated(error: BaseException, exchange: str) -> Unconfirmed | PublishForbidden | Unroutable:
    """Which publish caused the error.

    The channel's end fails every publish in flight on it, and names the one exchange at fault.
    """
    words = str(error)
    if f"exchange '{exchange or DEFAULT_EXCHANGE}'" in words:
        if "ACCESS_REFUSED" in words:
            return PublishForbidden(words[:300])
        if "NOT_FOUND" in words:
            return Unroutable(f"there is no exchange {exchange!r}")
    return Unconfirmed(f"the connection failed: {type(error).__name__}")


def _amqp(message: Outgoing) -> Message:
    return Message(
        message.body,
        headers=dict(message.headers),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=message.timestamp,
        expiration=message.expiration,
        type=message.type,
        app_id=names.APP_ID,
        delivery_mode=DeliveryMode.PERSISTENT,
    )
