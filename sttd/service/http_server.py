"""uvicorn inside our own event loop, without its signal handling and its endless waits.

A service sets the rules of its connections in a subclass of `GuardedConnection`.
"""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from sttd.service.addresses import advice, looked_up

KEEP_ALIVE_SECONDS: Final = 20
"""Longer than the usual scrape interval of 15 s, so that a scraper keeps its connection."""

MAX_HEAD_BYTES: Final = 16 * 1024


class AddressUnusable(Exception):
    """The address cannot be listened on; the message is the system's reason, with the next step."""


class GuardedConnection(H11Protocol):
    """uvicorn's protocol with a deadline and a place in the order of eviction; both are for subclasses to use."""

    _deadline: asyncio.TimerHandle | None = None
    opened: float

    # The type is uvicorn's own, narrower than asyncio's.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # see above
        """Keep the time of opening."""
        super().connection_made(transport)
        self.opened = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the deadline."""
        self.relax()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Drop the connection without waiting for the peer to read what is buffered."""
        self.connections.discard(self)  # at once, so that the next newcomer evicts the next oldest
        self.transport.abort()

    def expect(self, seconds: float) -> None:
        """Drop the connection in so many seconds, unless `relax` comes first."""
        self.relax()
        self._deadline = self.loop.call_later(seconds, self.abort)

    def relax(self) -> None:
        """No deadline any more."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def has_deadline(self) -> bool:
        """Whether one runs."""
        return self._deadline is not None


class HttpServer:
    """One HTTP server on `host`:`port`; port 0 takes a free one, which `url` holds."""

    def __init__(
        self, host: str, port: int, *, name: str, backlog: int, config: uvicorn.Config, settings: tuple[str, str]
    ) -> None:
        """`name`: of its task; `config`: from `configured`; `settings`: the names of those that give host and port."""
        self._host = host
        self._port = port
        self._name = name
        self._backlog = backlog
        self._settings = settings
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> None:
        """Bind and serve. Raises `AddressUnusable`."""
        try:
            bound = await asyncio.to_thread(_bind, self._host, self._port, self._backlog)  # a name may need a resolver
        except OSError as error:
            reason = f"{self._host}:{self._port} ({error.strerror or error}): {advice(error, *self._settings)}"
            raise AddressUnusable(reason) from error
        host = f"[{self._host}]" if bound.family == socket.AF_INET6 else self._host
        self.url = f"http://{host}:{bound.getsockname()[1]}"
        self._task = asyncio.create_task(self._server.serve([bound]), name=self._name)
        up = asyncio.create_task(self._server.up.wait(), name=f"{self._name} up")
        await asyncio.wait({self._task, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._task.done():
            bound.close()
            await self._task

    @property
    def under_way(self) -> int:
        """Requests that are being read or answered now."""
        return len(self._server.server_state.tasks)

    async def watch(self) -> None:
        """Return when the server has ended; raises its error. At once where it was not started."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def close(self, seconds: float | None = None) -> None:
        """Take no more connections and finish answers under way, at most so long; then cancel the rest.

        None: as long as uvicorn's `timeout_graceful_shutdown`.
        """
        if self._task is None:
            return
        self._server.stop.set()
        _, late = await asyncio.wait({self._task}, timeout=seconds)
        left = list(self._server.server_state.tasks)
        for task in (*left, *late):
            task.cancel()
        await asyncio.gather(*left, self._task, return_exceptions=True)
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        self._task = None


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals alone and reports when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        """Renew the Date header each second until the stop; uvicorn's own loop runs ten times a second."""
        while not self.stop.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), 1)


def configured(app: ASGIApp, connection: type[GuardedConnection], **more: Any) -> uvicorn.Config:
    """Uvicorn's settings as both services need them. `more`: uvicorn's own names."""
    return uvicorn.Config(
        app,
        http=connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        **more,
    )


def _bind(host: str, port: int, backlog: int) -> socket.socket:
    family = looked_up(host, port)[0]
    return socket.create_server((host, port), family=family, backlog=backlog)
