"""One supervised connection of the client: publishes requests until the broker confirms them, passes on replies.

Never reads a body; never decides how long to wait.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelClosed, DeliveryError, PublishError

from sttd import errands, errors
from sttd.quiet import quiet
from sttd.refusals import blame, not_served, why
from sttd.schemas import names
from sttd.sending import Sending, unblocked
from sttd.service import broker_address
from sttd.service.broker_errors import as_connection_error, words
from sttd.settings import ClientSettings

HEARTBEAT: Final = 10
"""Seconds. With the library's grace of three beats a frozen broker is noticed within 33 s."""

DIAL_SECONDS: Final = 10
"""How long one attempt to connect, declare and consume may take; less where there are several nodes."""

CONFIRM_SECONDS: Final = 10
"""How long one of several nodes may take to confirm a request."""

GOODBYE_SECONDS: Final = 5
"""How long deleting the reply queue and closing may take; an absent broker must not hold up the bot's shutdown."""

REPLIES_KEPT_SECONDS: Final = 600
"""How long the broker keeps the reply queue, and the answers in it, while this client is away."""

LONGEST_PAUSE_SECONDS: Final = 15

_log = logging.getLogger(__name__)


class OnReply(Protocol):
    """Takes what arrives in the reply queue; synchronous, never raises."""

    def __call__(self, body: bytes, *, correlation_id: str | None, reply_id: str | None) -> None:
        """Take one reply."""


@dataclass(frozen=True, slots=True, eq=False)
class _Session:
    """One connection's life: what to publish with, which queue to delete, and whether it is over."""

    connection: AbstractConnection
    exchange: AbstractExchange
    reply_queue: AbstractQueue
    stop_listening: Callable[[], Awaitable[object]]  # else deleting the queue would look like another's deletion
    lost: asyncio.Event


class ClientLink:
    """Keeps one connection, replaces it when it is lost, and republishes what was not confirmed.

    One connection serves both directions: there is no prefetch, so that acks held up behind a blocked publish stop no
    delivery.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        name: str,
        reply_queue: str,
        on_reply: OnReply,
        on_down: Callable[[errors.SttdClientError], None],
    ) -> None:
        """Open nothing yet.

        `name` is shown in the broker's list of connections; `on_down` is called if the link ends for good.
        """
        self._settings = settings
        self._nodes = broker_address.Nodes(settings.amqp_url)
        self._failures = 0  # in a row
        self._sessions = 0  # so far
        self._name = name
        self._reply_queue = reply_queue
        self._on_reply = on_reply
        self._on_down = on_down
        self._session: _Session | None = None
        self._sending = Sending()
        self._up = asyncio.Event()  # set while a session is usable, and for ever once closed
        self._supervisor: asyncio.Task[None] | None = None
        self._closed: errors.ClientClosed | None = None
        self._down_since: float | None = None
        self.trouble = ""  # why there is no connection now, as a sentence

    @property
    def connected(self) -> bool:
        """Whether there is a usable connection now."""
        return self._up.is_set() and self._session is not None and self._closed is None

    async def blocked(self) -> bool:
        """Whether the broker takes nothing from this connection now. It reports that only after a publish."""
        return self.connected and self._session is not None and await errands.blocked(self._session.connection)

    @property
    def down_seconds(self) -> float:
        """For how long there has been no connection; 0 while there is one."""
        return 0.0 if self._down_since is None else asyncio.get_running_loop().time() - self._down_since

    async def open(self) -> None:
        """Connect once. Raises `BrokerUnavailable` at once; only what was connected before is connected again."""
        self._session = await self._dial()
        self._up.set()
        self._supervisor = asyncio.create_task(self._supervise(self._session), name=f"supervise {self._name}")
        self._supervisor.add_done_callback(self._watch)

    async def close(self) -> None:
        """Stop, delete the reply queue if the broker can be reached, and close."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
        session, self._session = self._session, None
        self._up.set()  # a task that waits for a connection gets an error
        if session is not None:
            await self._leave(session, delete=True)
        await self._sending.close()

    async def publish(self, message: aio_pika.Message, queue: str, *, wanted: Callable[[], bool]) -> None:
        """Publish until the broker confirms, over as many connections as it takes, while the answer is still `wanted`.

        A confirm that was lost with its connection makes a second copy of the request: both carry the same message id,
        so that their replies are duplicates of one answer. Raises `NotServed`, `QueueFull`, `BrokerUnavailable` (no
        permission), `RejectedAudio` (larger than the broker takes), `ClientClosed`.
        """
        while wanted():
            session = await self._usable()
            try:
                with as_connection_error():
                    async with self._confirmed_in_time(session):
                        await unblocked(session.connection, session.lost)
                        await self._sending.publish(session.exchange, message, queue)
            except PublishError:
                raise errors.NotServed(not_served(queue, self._settings.broker)) from None
            except DeliveryError:
                raise errors.QueueFull(
                    f"the broker did not take the request: queue {queue} is at its limit; try again later"
                ) from None
            except ChannelClosed as error:
                self._lose(session, error)
                blame(message, error)
            except CONNECTION_EXCEPTIONS as error:
                self._lose(session, error)
            else:
                return

    @asynccontextmanager
    async def _confirmed_in_time(self, session: _Session) -> AsyncIterator[None]:
        """Leave one of several nodes when it confirms nothing: it may be cut off from the others for long.

        Raises `TimeoutError`. A broker that blocks this connection would block one to another node, too: that is
        waited out.
        """

        async def doubt() -> None:
            await asyncio.sleep(CONFIRM_SECONDS / 2)
            if session.connection.transport is not None:
                await session.connection.transport.ready()
            limit.reschedule(asyncio.get_running_loop().time() + CONFIRM_SECONDS / 2)

        async with asyncio.timeout(None) as limit:
            doubting = asyncio.create_task(doubt()) if self._nodes.count > 1 else None
            try:
                yield
            finally:
                if doubting is not None:
                    doubting.cancel()

    async def connection(self) -> AbstractConnection:
        """The connection, waited for while there is none. Raises `ClientClosed`."""
        return (await self._usable()).connection

    async def _usable(self) -> _Session:
        await self._up.wait()
        if self._closed is not None or self._session is None:
            raise self._closed or errors.ClientClosed("the client is closed: open a new one")
        return self._session

    def _lose(self, session: _Session, error: BaseException | None = None) -> None:
        """Take a session out of use; the supervisor makes the next one. May be called more than once."""
        session.lost.set()
        if session is self._session:
            self._up.clear()
            self._down_since = self._down_since or asyncio.get_running_loop().time()
            if error or not self.trouble:
                told = words(error) if error else "closed"
                self.trouble = f"lost the connection to RabbitMQ at {self._settings.broker} ({told})"

    def _watch(self, supervisor: asyncio.Task[None]) -> None:
        """Only `close` ends the supervisor. If an error does, no call may wait for a connection that never comes."""
        if self._supervisor is not supervisor:
            return
        error = None if supervisor.cancelled() else supervisor.exception()
        _log.error("the client's connection task died", exc_info=error)
        self._closed = errors.ClientClosed(f"the client's connection task died ({error!r}): open a new client")
        self._up.set()
        self._on_down(self._closed)

    async def _supervise(self, session: _Session) -> None:
        while True:
            await session.lost.wait()
            _log.warning("%s: reconnecting", self.trouble)
            await self._leave(session, delete=False)
            session = await self._redial()
            self._session, self._down_since, self.trouble = session, None, ""
            self._up.set()
            _log.info("back at the broker at %s", self._settings.broker)

    async def _redial(self) -> _Session:
        for pause in _pauses():
            await asyncio.sleep(pause)
            try:
                return await self._dial()
            except errors.BrokerUnavailable as error:
                self.trouble = str(error)
        raise AssertionError  # the pauses never end

    async def _dial(self) -> _Session:
        """Try every node once, beginning with the one after the last tried."""
        for _ in range(self._nodes.count - 1):
            try:
                return await self._dial_next()
            except errors.BrokerUnavailable as error:
                _log.info("one node of the broker is away: %s", error)
        return await self._dial_next()

    async def _dial_next(self) -> _Session:
        try:
            self._failures += 1
            with as_connection_error():
                async with asyncio.timeout(self._nodes.patience(DIAL_SECONDS, self._failures - 1)):
                    session = await self._session_at(self._nodes.next())
        except CONNECTION_EXCEPTIONS as error:
            raise errors.BrokerUnavailable(why(error, self._settings.broker)) from error
        self._failures = 0
        return session

    async def _session_at(self, node: str) -> _Session:
        """Not aio_pika.connect(): a connection that fails in there is left unclosed, and its finalizer complains."""
        url = make_url(node, heartbeat=HEARTBEAT)
        connection = aio_pika.Connection(url, client_properties={"connection_name": self._name})
        try:
            with quiet():
                await connection.connect()
                return await self._set_up(connection)
        except BaseException:
            await _hang_up(connection)
            raise

    async def _set_up(self, connection: AbstractConnection) -> _Session:
        """Channels of their own for requests and replies: a refused publish closes its channel."""
        outbox = await connection.channel(publisher_confirms=True, on_return_raises=True)
        inbox = await connection.channel(publisher_confirms=False)
        # Not exclusive: answers must outlive the connection. Expiring: a bot that died leaves nothing behind for long.
        # In a cluster a quorum queue: a classic one is on one node, and away as long as that is (issue 13).
        arguments: dict[str, Any] = {"x-expires": REPLIES_KEPT_SECONDS * 1000}
        if self._nodes.count > 1:
            arguments["x-queue-type"] = "quorum"
        queue = await inbox.declare_queue(self._reply_queue, durable=True, arguments=arguments)
        tag = f"sttd.{uuid4()}"
        session = _Session(connection, outbox.default_exchange, queue, partial(queue.cancel, tag), asyncio.Event())
        for closable in (connection, outbox, inbox):
            closable.close_callbacks.add(lambda _, error: self._lose(session, error))
        underlay = await inbox.get_underlay_channel()
        # The queue was deleted: declare it again.
        underlay.on_consumer_cancel_callbacks.add(lambda _: self._lose(session))
        # For the broker the last connection may be a consumer until it misses heartbeats: answers go to this one.
        self._sessions += 1
        await queue.consume(self._deliver, consumer_tag=tag, arguments={"x-priority": self._sessions})
        return session

    async def _deliver(self, message: AbstractIncomingMessage) -> None:
        reply_id = message.headers.get(names.REPLY_ID_HEADER)
        self._on_reply(
            message.body,
            correlation_id=message.correlation_id,
            reply_id=reply_id if isinstance(reply_id, str) else None,
        )
        try:
            await message.ack()
        except CONNECTION_EXCEPTIONS as error:  # delivered again on the next connection, and dropped as a duplicate
            _log.debug("could not ack a reply: %s", words(error))

    async def _leave(self, session: _Session, *, delete: bool) -> None:
        try:
            with quiet(), as_connection_error():
                async with asyncio.timeout(GOODBYE_SECONDS):
                    try:
                        if delete and not session.lost.is_set():
                            await session.stop_listening()
                            await session.reply_queue.delete(if_unused=False, if_empty=False)
                    finally:
                        await session.connection.close()
        except CONNECTION_EXCEPTIONS as error:  # the queue expires by itself
            _log.debug("left the broker without a goodbye: %s", words(error))


async def _hang_up(connection: AbstractConnection) -> None:
    with suppress(*CONNECTION_EXCEPTIONS), as_connection_error():  # a node that stands still never answers
        async with asyncio.timeout(GOODBYE_SECONDS):
            await connection.close()


def _pauses() -> Iterator[float]:
    """Seconds before each attempt: short, then longer.

    Jittered, so that a thousand bots do not reconnect in one moment.
    """
    longest = 0.2
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, guards nothing
        longest = min(longest * 2, LONGEST_PAUSE_SECONDS)
