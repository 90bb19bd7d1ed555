"""The HTTP server: uvicorn in our own event loop, hardened against callers that dawdle, that are many, or that never stop sending.

Imports uvicorn and h11. Never touches signals (they belong to app.py) and never configures logging.
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
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

MAX_CONNECTIONS: Final = 1024
"""Above it the oldest connection that waits for no answer makes room."""

HEAD_SECONDS: Final = 10.0
"""For a request's head; uvicorn itself waits for ever. The body's time is the form reader's business."""

LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 32 * 1024 * 1024
"""After an early answer what is still being sent is read and dropped, so far, so that the caller gets to read the answer."""

LAST_SECONDS: Final = 1.0
"""Whoever has more to send than that is not read any further, and has this long to read the answer."""

READ_BYTES: Final = 32 * 1024
"""Read from one connection at a time: asyncio's quarter of a megabyte, times many senders, is what everybody else waits for."""

KEEP_ALIVE_SECONDS: Final = 20
MAX_HEAD_BYTES: Final = 16 * 1024


class CannotListen(Exception):
    """The address cannot be had; the message says which setting to change."""


class _Connection(H11Protocol):
    """uvicorn's protocol with a deadline for what it waits for itself, and a place in the queue for eviction."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own, narrower than asyncio's
        super().connection_made(transport)
        self._opened = self.loop.time()
        self._dropped = 0
        if hasattr(transport, "max_size"):  # asyncio's own transports have it, uvloop's not
            transport.max_size = READ_BYTES
        self._expect(HEAD_SECONDS)
        if len(self.connections) > MAX_CONNECTIONS:
            mine = [connection for connection in self.connections if isinstance(connection, _Connection)]
            min(mine, key=lambda c: (c._at_work, c._opened)).abort()  # noqa: SLF001 - its own class

    @property
    def _at_work(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request, whatever its type says
        return cycle is not None and not cycle.response_complete

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        if self._lingers:
            self._drop(len(data))
        super().data_received(data)
        if self.cycle is not before and self._at_work:  # a head is complete
            self._relax()
        elif not self._at_work and self._deadline is None:  # the next head begins
            self._expect(HEAD_SECONDS)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._lingers:
            self._unset_keepalive_if_required()
            self._expect(LINGER_SECONDS)
            announced = dict(self.headers).get(b"content-length", b"0")
            self._dropped = 0
            self._drop(int(announced) if announced.isdigit() else 0)
            self._dropped = 0

    @property
    def _lingers(self) -> bool:
        """Whether the request was answered while its body still comes."""
        return not self._at_work and self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing()

    def _drop(self, count: int) -> None:
        self._dropped += count
        if self._dropped > LINGER_BYTES:
            self.flow.pause_reading()
            self._expect(LAST_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Drop the connection without waiting for the peer to read what is buffered."""
        self.connections.discard(self)  # at once, so that the next newcomer evicts the next oldest
        self.transport.abort()

    def _expect(self, seconds: float) -> None:
        self._relax()
        self._deadline = self.loop.call_later(seconds, self.abort)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals alone and stops at once when told."""

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


class Server:
    """One HTTP server on `host`:`port`; port 0 takes a free one, `url` tells which."""

    def __init__(self, host: str, port: int, app: ASGIApp, drain_seconds: float) -> None:
        """Only keep what is given; nothing is bound before `start`."""
        self._host = host
        self._port = port
        self._server = _Server(_config(app, drain_seconds))
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> None:
        """Bind and serve. Raises `CannotListen`, with the next step, when the address cannot be had."""
        bound = await asyncio.to_thread(_bind, self._host, self._port)  # a host name may need the resolver
        host = f"[{self._host}]" if bound.family == socket.AF_INET6 else self._host
        self.url = f"http://{host}:{bound.getsockname()[1]}"
        self._task = asyncio.create_task(self._server.serve([bound]), name="http server")
        up = asyncio.create_task(self._server.up.wait(), name="http server up")
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
        """Return when the server has ended; raises what it died of."""
        assert self._task is not None
        await asyncio.shield(self._task)

    async def close(self) -> None:
        """Take no more connections, finish answers under way within the drain time, cancel the rest."""
        if self._task is None:
            return
        self._server.stop.set()
        await asyncio.wait({self._task})
        left = list(self._server.server_state.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()


def _config(app: ASGIApp, drain_seconds: float) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=512,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise CannotListen(
            f"the gateway cannot listen on {host}:{port} ({error.strerror or error}): "
            "stop what listens there, or set STTD_GATEWAY_PORT (0 takes a free one) or STTD_GATEWAY_HOST"
        ) from error
