"""One connection to the broker, kept up: connect, run a session on it until it is lost, back off, again.

Not aio-pika's RobustConnection: that one waits a fixed 5 s without jitter, restores queues on its own and repeats a 406
for ever. A session sets up everything it needs each time; nothing is "restored".
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelNotFoundEntity
from aiormq.exceptions import ChannelAccessRefused
from pydantic import SecretStr

from sttd.consumer.bus.seam import BusObserver
from sttd.consumer.errors import BusError
from sttd.service import broker_address
from sttd.service.broker_errors import abandoned, as_connection_error, no_connection, words

HEARTBEAT = 10  # s; a frozen broker is noticed after three missed ones instead of after three minutes
CONNECT_SECONDS = 10.0  # of several nodes each has less, for a session's set-up too
CLOSE_SECONDS = 3.0
BACKOFF_FIRST = 0.1  # s
BACKOFF_CAP = 5.0  # s


class Loss:
    """The first reason why a session ended; any task may wait for it or report it."""

    def __init__(self) -> None:
        self._reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def happened(self) -> bool:
        """Whether a reason was reported: deliveries of the session are then not worth beginning."""
        return self._reason.done()

    def report(self, reason: str) -> None:
        """Keep the first reason; later ones are its consequences."""
        if not self._reason.done():
            self._reason.set_result(reason)

    def on_close(self, what: str, harmless: Callable[[object], bool] = lambda _error: False) -> Callable[..., None]:
        """Make a callback for aio-pika's close callbacks: `(sender, exception)`. `harmless(error)`: not reported."""

        def closed(_sender: object, error: BaseException | None = None, *_: object) -> None:
            if not harmless(error):
                self.report(f"lost the {what} to RabbitMQ ({words(error) if error else 'no reason given'})")

        return closed

    def watch(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        """Begin a task of the session, whose end is the session's, unless it is cancelled."""

        def report(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                error = task.exception()
                self.report(f"{what} ended: {words(error) if isinstance(error, TimeoutError) else repr(error)}")

        task = asyncio.create_task(work, name=what)
        task.add_done_callback(report)
        return task

    async def wait(self) -> str:
        """Return the reason once there is one."""
        return await asyncio.shield(self._reason)


Session = Callable[[AbstractConnection, Loss], Awaitable[None]]
"""Sets up channels on a fresh connection and returns when it has them; the link then waits for the loss."""


class Link:
    """Keeps one connection up for one role. `run` ends only by cancellation or a `StartupError` of the session."""

    def __init__(self, role: str, url: SecretStr, name: str, observer: BusObserver) -> None:
        """`role`: see `BusObserver`. `url`: of one node or several. `name` shows in the broker's connection list."""
        self.role = role
        self._nodes = broker_address.Nodes(url)
        self._broker = broker_address.shown(url)
        self._name = name
        self._observer = observer
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def several(self) -> bool:
        """Whether there is another node to go to when one does not answer."""
        return self._nodes.count > 1

    async def run(self, session: Session, ended: Callable[[], None]) -> None:
        """Run `session` on one connection after the other; `ended` is called each time one is gone."""
        failures = 0
        try:
            while True:
                try:
                    reason = await self._once(session, ended, self._patience(failures))
                    failures = 0
                except (TimeoutError, *CONNECTION_EXCEPTIONS) as error:
                    reason = no_connection(error, self._broker)
                    failures += 1
                self._observer.lost(self.role, reason)
                rounds, rest = divmod(failures, self._nodes.count)
                await asyncio.sleep(backoff(0 if rest else rounds))  # all nodes in turn, then the pause
        finally:
            await asyncio.gather(*self._closing)

    def _patience(self, failures: int) -> float | None:
        """Seconds for a connection and its set-up; none for a single node: there is no better one."""
        return self._nodes.patience(CONNECT_SECONDS, failures) if self.several else None

    async def _connect(self, seconds: float) -> AbstractConnection:
        url = make_url(self._nodes.next(), heartbeat=HEARTBEAT)  # after a loss another node, if there is one
        connection = aio_pika.Connection(url, client_properties={"connection_name": f"sttd {self.role} {self._name}"})
        try:
            with as_connection_error():
                async with asyncio.timeout(seconds):
                    await connection.connect()
        except BaseException:
            # Left open, its finalizer would try to close it on an event loop that the collector's thread does not have.
            await _close(connection)
            raise
        return connection

    async def _once(self, session: Session, ended: Callable[[], None], patience: float | None) -> str:
        loss = Loss()
        until = None if patience is None else asyncio.get_running_loop().time() + patience
        # A node that stands still accepts a connection without a word. A well one may have leaders to replace first.
        connection = await self._connect(CONNECT_SECONDS if patience is None else patience / 2)
        connection.close_callbacks.add(loss.on_close("connection"))
        try:
            async with asyncio.timeout_at(until):
                with as_connection_error():
                    await session(connection, loss)
            self._observer.connected(self.role)
            return await loss.wait()
        finally:
            ended()
            await self._leave(connection)

    async def _leave(self, connection: AbstractConnection) -> None:
        """Close. A node that does not answer is not waited for if there is another: its notes go there meanwhile."""
        closing = asyncio.create_task(_close(connection), name=f"close {self.role}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        if not self.several:
            await asyncio.shield(closing)


def denied(error: object) -> bool:
    """Whether the broker has closed a channel because the user lacks a permission, or what it uses is not there."""
    return isinstance(error, ChannelAccessRefused | ChannelNotFoundEntity)


async def open_channel(
    connection: AbstractConnection, loss: Loss, *, confirms: bool, optional: bool = False
) -> AbstractChannel:
    """Open a channel whose end is the session's end: a half-dead session must not look alive.

    `loss`: gets the reason when the channel closes; `confirms`: of the broker, for each publish. `optional`: the
    session goes on where the broker denies what the channel is for.
    """
    channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    channel.close_callbacks.add(loss.on_close("channel", denied) if optional else loss.on_close("channel"))
    return channel


@contextmanager
def lost_as(told: Callable[[BaseException], BusError]) -> Iterator[None]:
    """Turn whatever the library raises when its connection is lost into one of our errors.

    Without this the request in hand would stay unacked, with no task working on it.
    """
    try:
        yield
    except BusError:
        raise
    except asyncio.CancelledError as error:
        if not abandoned(error):
            raise
        raise told(error) from error
    except Exception as error:
        raise told(error) from error


async def _close(connection: AbstractConnection) -> None:
    """Close cleanly, within a limit: a frozen broker never answers."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()
    except (TimeoutError, *CONNECTION_EXCEPTIONS):
        pass  # it is gone either way, and the reason was reported when it went


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling, capped, with full jitter against reconnect storms."""
    ceiling = min(BACKOFF_CAP, BACKOFF_FIRST * 2.0 ** min(failures, 10))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret
