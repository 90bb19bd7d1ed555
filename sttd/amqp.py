"""One supervised connection of the client: publishes requests until the broker confirms them, passes on replies.

The only module of sttd (but for its commands) that imports aio_pika. Never reads a body; never decides how long to
wait.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AuthenticationError, ChannelClosed, DeliveryError, PublishError
from aio_pika.exceptions import ProbableAuthenticationError as RefusedLogin

from sttd import errors
from sttd.quiet import quiet
from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.service import broker_address
from sttd.settings import ClientSettings

HEARTBEAT: Final = 10
"""Seconds. With the library's grace of three beats a frozen broker is noticed within 33 s."""

DIAL_SECONDS: Final = 10
"""How long one attempt to connect, declare and consume may take."""

GOODBYE_SECONDS: Final = 5
"""How long deleting the reply queue and closing may take; an absent broker must not hold up the bot's shutdown."""

REPLIES_KEPT_SECONDS: Final = 600
"""How long the broker keeps the reply queue, and the answers in it, while this client is away."""

LONGEST_PAUSE_SECONDS: Final = 15

_TOO_LARGE: Final = re.compile(r"message size \d+ is larger than configured max size (\d+)")

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
        urls = broker_address.shuffled(settings.amqp_url)
        self._nodes, self._urls = len(urls), itertools.cycle(urls)
        self._name = name
        self._reply_queue = reply_queue
        self._on_reply = on_reply
        self._on_down = on_down
        self._session: _Session | None = None
        self._up = asyncio.Event()  # set while a session is usable, and for ever once closed
        self._supervisor: asyncio.Task[None] | None = None
        self._closed: errors.ClientClosed | None = None
        self._down_since: float | None = None
        self.trouble = ""

    @property
    def connected(self) -> bool:
        """Whether there is a usable connection now."""
        return self._up.is_set() and self._session is not None and self._closed is None

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

    async def publish(self, message: aio_pika.Message, queue: str, *, wanted: Callable[[], bool]) -> None:
        """Publish until the broker confirms, over as many connections as it takes, while the answer is still `wanted`.

        A confirm that was lost with its connection makes a second copy of the request: both carry the same message id,
        so that their replies are duplicates of one answer. Raises `NotServed`, `QueueFull`, `BrokerUnavailable` (no
        permission), `RejectedAudio` (larger than the broker takes), `ClientClosed`.
        """
        while wanted():
            session = await self._usable()
            try:
                with quiet():
                    await session.exchange.publish(message, queue, mandatory=True)
            except PublishError:
                raise errors.NotServed(_not_served(queue, self._settings.broker)) from None
            except DeliveryError:
                raise errors.QueueFull(
                    f"the broker did not take the request: queue {queue} is at its limit; try again later"
                ) from None
            except ChannelClosed as error:
                self._lose(session, error)
                _blame(message, error)
            except CONNECTION_EXCEPTIONS as error:
                self._lose(session, error)
            except asyncio.CancelledError as error:
                if is_cancelled():
                    raise
                self._lose(session, error)
            else:
                return

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
            self.trouble = words(error) if error else self.trouble

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
            _log.warning(
                "lost the broker at %s (%s): reconnecting", self._settings.broker, self.trouble or "connection closed"
            )
            await self._leave(session, delete=False)
            session = await self._redial()
            self._session, self._down_since = session, None
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
        for _ in range(self._nodes - 1):
            try:
                return await self._dial_next()
            except errors.BrokerUnavailable as error:
                _log.info("one node of the broker is away: %s", error)
        return await self._dial_next()

    async def _dial_next(self) -> _Session:
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                url = make_url(next(self._urls), heartbeat=HEARTBEAT)
                connection = aio_pika.Connection(url, client_properties={"connection_name": self._name})
                try:
                    # Not aio_pika.connect(): a connection that fails in there is left unclosed, and its finalizer
                    # complains.
                    with quiet():
                        await connection.connect()
                        return await self._set_up(connection)
                except BaseException:
                    await connection.close()
                    raise
        except CONNECTION_EXCEPTIONS as error:
            raise errors.BrokerUnavailable(_why(error, self._settings.broker)) from error
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            raise errors.BrokerUnavailable(_why(error, self._settings.broker)) from error

    async def _set_up(self, connection: AbstractConnection) -> _Session:
        """Channels of their own for requests and replies: a refused publish closes its channel."""
        outbox = await connection.channel(publisher_confirms=True, on_return_raises=True)
        inbox = await connection.channel(publisher_confirms=False)
        # Not exclusive: answers must outlive the connection. Expiring: a bot that died leaves nothing behind for long.
        queue = await inbox.declare_queue(
            self._reply_queue, durable=True, arguments={"x-expires": REPLIES_KEPT_SECONDS * 1000}
        )
        tag = f"sttd.{uuid4()}"
        session = _Session(connection, outbox.default_exchange, queue, partial(queue.cancel, tag), asyncio.Event())
        for closable in (connection, outbox, inbox):
            closable.close_callbacks.add(lambda _, error: self._lose(session, error))
        underlay = await inbox.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(
            lambda _: self._lose(session)
        )  # the queue was deleted: declare it again
        await queue.consume(self._deliver, consumer_tag=tag)
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
        except (
            CONNECTION_EXCEPTIONS
        ) as error:  # delivered again on the next connection, and dropped there as a duplicate
            _log.debug("could not ack a reply: %s", words(error))

    async def _leave(self, session: _Session, *, delete: bool) -> None:
        try:
            with quiet():
                async with asyncio.timeout(GOODBYE_SECONDS):
                    try:
                        if delete and not session.lost.is_set():
                            await session.stop_listening()
                            await session.reply_queue.delete(if_unused=False, if_empty=False)
                    finally:
                        await session.connection.close()
        except CONNECTION_EXCEPTIONS as error:  # the queue expires by itself
            _log.debug("left the broker without a goodbye: %s", words(error))
        except asyncio.CancelledError:
            if is_cancelled():
                raise


def _pauses() -> Iterator[float]:
    """Seconds before each attempt: short, then longer.

    Jittered, so that a thousand bots do not reconnect in one moment.
    """
    longest = 0.2
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, guards nothing
        longest = min(longest * 2, LONGEST_PAUSE_SECONDS)


def is_cancelled() -> bool:
    """Whether it is the caller who cancels: the library ends waits on a dying connection with the same exception."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _blame(message: aio_pika.Message, error: ChannelClosed) -> None:
    """Raise if this very message closed the channel; the others that were on it are published again."""
    text = words(error)
    limit = _TOO_LARGE.search(text)
    if limit and len(message.body) > int(limit[1]):
        raise errors.RejectedAudio.by_code(
            ErrorCode.BODY_TOO_LARGE,
            f"the audio has {len(message.body)} bytes and the broker takes messages of {limit[1]} at most (its "
            "max_message_size)",
            {"bytes": len(message.body), "limit": int(limit[1])},
        ) from None
    if "ACCESS_REFUSED" in text:
        raise errors.BrokerUnavailable(f"the broker's user may not publish requests: {text}") from None


def _not_served(queue: str, broker: str) -> str:
    return (
        f"queue {queue} does not exist at {broker}: no daemon has served it yet. Start one with `sttd serve`, or check "
        "STTD_AMQP_URL (host and vhost) and the queue's name"
    )


def _why(error: BaseException, broker: str) -> str:
    """What is wrong and what to do, for one failed attempt to connect."""
    if isinstance(error, AuthenticationError | RefusedLogin):
        return f"RabbitMQ at {broker} refuses the user or the password of STTD_AMQP_URL"
    text = words(error)
    if "Connection.OpenOk" in text:  # the library's error when the broker closes instead of opening the vhost
        return f"RabbitMQ at {broker} refuses the vhost: does it exist, and may this user enter it?"
    if "ACCESS_REFUSED" in text:
        return (
            f"the broker's user needs configure, write and read permission for its reply queue `sttd.client.*`: {text}"
        )
    return f"no connection to RabbitMQ at {broker} ({text}): is it running, and is STTD_AMQP_URL right?"


def words(error: BaseException) -> str:
    """The text of an error, which the library's exceptions keep in their arguments."""
    said = ", ".join(str(part) for part in error.args if part not in (None, ""))
    return said or type(error).__name__
