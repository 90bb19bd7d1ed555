"""The side port's server: uvicorn inside the daemon's own event loop, hardened against clients that dawdle.

Imports uvicorn and consumer.errors; never touches signals (they belong to the daemon) and never configures logging.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from sttd.consumer.errors import SidePortTaken

MAX_CONNECTIONS: Final = 64
"""More than this and the oldest connection makes room: idle sockets must never keep Prometheus out."""

REQUEST_SECONDS: Final = 10.0
"""From the first byte expected to the last byte answered; uvicorn itself waits for ever for a request's head."""

KEEP_ALIVE_SECONDS: Final = 20
"""Longer than the usual scrape interval of 15 s, so that a scraper keeps its connection."""

MAX_HEAD_BYTES: Final = 16 * 1024
CLOSE_SECONDS: Final = 3.0


class _Connection(H11Protocol):
    """uvicorn's protocol with a deadline for each request and a place in the queue for eviction."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own, narrower than asyncio's
        super().connection_made(transport)
        self._opened = self.loop.time()
        self._expect()
        if len(self.connections) > MAX_CONNECTIONS:
            oldest = min((c for c in self.connections if isinstance(c, _Connection)), key=lambda c: c._opened)  # noqa: SLF001 - its own class
            oldest.abort()

    def data_received(self, data: bytes) -> None:
        self._expect()
        super().data_received(data)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:  # else a body is still dribbling in: the deadline stays
            self._relax()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Drop the connection without waiting for the peer to read what is buffered."""
        self.connections.discard(self)  # at once, so that the next newcomer evicts the next oldest
        self.transport.abort()

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.abort)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals alone and tells when it is up."""

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
        """Renew the Date header each second until told to stop; uvicorn's own loop looks ten times a second."""
        while not self.stop.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), 1)


class SideServer:
    """One HTTP server on `host`:`port`; port 0 takes a free one, `url` tells which."""

    def __init__(self, host: str, port: int, app: ASGIApp) -> None:
        """Only keeps what it is given; nothing is bound before `start`."""
        self._host = host
        self._port = port
        self._app = app
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> None:
        """Bind and serve. Raises `SidePortTaken`, with the next step, when the address cannot be had."""
        bound = await asyncio.to_thread(_bind, self._host, self._port)  # a host name may need the resolver
        host = f"[{self._host}]" if bound.family == socket.AF_INET6 else self._host
        self.url = f"http://{host}:{bound.getsockname()[1]}"
        self._server = _Server(_config(self._app))
        self._task = asyncio.create_task(self._server.serve([bound]), name="side-port")
        up = asyncio.create_task(self._server.up.wait(), name="side-port-up")
        await asyncio.wait({self._task, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._task.done():
            bound.close()
            await self._task

    async def watch(self) -> None:
        """Return when the server has ended; raises what it died of."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        """Stop in a moment, whatever clients do: answers under way get a second, then connections are dropped."""
        if self._server is None or self._task is None:
            return
        self._server.stop.set()
        _, late = await asyncio.wait({self._task}, timeout=CLOSE_SECONDS)
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        for task in late:
            task.cancel()
        await asyncio.wait({self._task})
        self._server = None


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",  # its "Started server process" is about a process that is ours
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=128,
        limit_concurrency=2 * MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SidePortTaken(
            f"the side port cannot listen on {host}:{port} ({error.strerror or error}): "
            "stop what listens there, or set STTD_SIDE_PORT (0 takes a free one) or STTD_SIDE_HOST",
            {"host": host, "port": port},
        ) from error
