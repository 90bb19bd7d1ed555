"""The side port's server: one deadline for each request, and eviction of the oldest connection."""

import asyncio
from typing import Final

import h11
from starlette.types import ASGIApp

from sttd.consumer.errors import SidePortUnusable
from sttd.service.http_server import AddressUnusable, GuardedConnection, HttpServer, configured

MAX_CONNECTIONS: Final = 64
"""Above it the oldest connection makes room: idle sockets must never keep Prometheus out."""

REQUEST_SECONDS: Final = 10.0
"""From the first byte expected to the last byte answered; uvicorn itself waits for ever for a request's head."""

CLOSE_SECONDS: Final = 3.0


class _Connection(GuardedConnection):
    # The type is uvicorn's own, narrower than asyncio's.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # see above
        super().connection_made(transport)
        self.expect(REQUEST_SECONDS)
        if len(self.connections) > MAX_CONNECTIONS:
            min((c for c in self.connections if isinstance(c, _Connection)), key=lambda c: c.opened).abort()

    def data_received(self, data: bytes) -> None:
        if not self.has_deadline:
            self.expect(REQUEST_SECONDS)
        super().data_received(data)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:  # else the rest of a body still comes: the deadline stays
            self.relax()


class SideServer(HttpServer):
    """The side port; port 0 takes a free one, which `url` holds."""

    def __init__(self, host: str, port: int, app: ASGIApp) -> None:
        config = configured(
            app,
            _Connection,
            log_level="warning",  # its "Started server process" is about our own process
            backlog=128,
            limit_concurrency=2 * MAX_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        settings = "STTD_SIDE_HOST", "STTD_SIDE_PORT"
        super().__init__(host, port, name="side-port", backlog=128, config=config, settings=settings)
        self._address = {"host": host, "port": port}

    async def start(self) -> None:
        """Bind and serve. Raises `SidePortUnusable`, with the next step."""
        try:
            await super().start()
        except AddressUnusable as error:
            raise SidePortUnusable(f"the side port cannot listen on {error}", self._address) from error

    async def close(self, seconds: float | None = CLOSE_SECONDS) -> None:
        """Stop in a moment, whatever clients do: answers under way get a second, then connections are dropped."""
        await super().close(seconds)
