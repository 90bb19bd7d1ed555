"""The gateway's server: bounds on callers that are slow, that are many, or that never stop sending."""

import asyncio
from typing import Final

import h11
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import RequestResponseCycle

from sttd.service.http_server import GuardedConnection, HttpServer, configured

BACKLOG: Final = 512
MAX_CONNECTIONS: Final = 1024
"""Above it the oldest connection that waits for no answer makes room."""

HEAD_SECONDS: Final = 10.0
"""For a request's head; uvicorn itself waits for ever. The form reader limits the body's time."""

LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 32 * 1024 * 1024
"""After an early answer so many bytes of the body are still read and dropped, so that the caller can read the answer.
"""

LAST_SECONDS: Final = 1.0
"""A caller with more to send than that is not read any further, and has this long to read the answer."""

READ_BYTES: Final = 32 * 1024
"""Read from one connection at a time. With asyncio's default of a quarter of a megabyte, many senders delay all other
work."""


class _Connection(GuardedConnection):
    """A deadline for each head; the oldest connection that waits for no answer makes room."""

    # The type is uvicorn's own, narrower than asyncio's.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # see above
        super().connection_made(transport)
        self._dropped = 0
        if hasattr(transport, "max_size"):  # asyncio's own transports have it, uvloop's not
            transport.max_size = READ_BYTES
        self.expect(HEAD_SECONDS)
        if len(self.connections) > MAX_CONNECTIONS:
            mine = [connection for connection in self.connections if isinstance(connection, _Connection)]
            min(mine, key=lambda c: (c._at_work, c.opened)).abort()  # noqa: SLF001 - its own class

    @property
    def _at_work(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request, although its type excludes that
        return cycle is not None and not cycle.response_complete

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        if self._lingers:
            self._drop(len(data))
        super().data_received(data)
        if self.cycle is not before and self._at_work:  # a head is complete
            self.relax()
        elif not self._at_work and not self.has_deadline:  # the next head begins
            self.expect(HEAD_SECONDS)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._lingers:
            self._unset_keepalive_if_required()
            self.expect(LINGER_SECONDS)
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
            self.expect(LAST_SECONDS)


def server(host: str, port: int, app: ASGIApp, drain_seconds: float) -> HttpServer:
    """The gateway's port, not bound yet; port 0 takes a free one, which `url` holds.

    `drain_seconds`: for answers under way when it closes.
    """
    config = configured(
        app, _Connection, log_level="error", backlog=BACKLOG, timeout_graceful_shutdown=max(1, round(drain_seconds))
    )
    settings = "STTD_GATEWAY_HOST", "STTD_GATEWAY_PORT"
    return HttpServer(host, port, name="http server", backlog=BACKLOG, config=config, settings=settings)
