"""The side port over real HTTP: what each page answers, and that no client can block the others or the end."""

import asyncio
import contextlib
import errno
import re
import signal
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from sttd.consumer.errors import ExitCode, SidePortUnusable
from sttd.consumer.side_port.asgi import build
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.metrics import Metrics
from sttd.consumer.side_port.server import MAX_CONNECTIONS, SideServer, _Connection
from sttd.service.addresses import advice
from tests.support.broker import wait_until
from tests.support.waiting import PATIENCE

CHECKS = ("model", "publisher", "consumer")


@pytest.fixture
def health() -> DaemonHealth:
    """Health as at start: three checks, none ok."""
    return DaemonHealth(CHECKS)


@pytest.fixture
async def server(health: DaemonHealth) -> AsyncIterator[SideServer]:
    """A side port on a free port, closed after the test."""
    server = SideServer("127.0.0.1", 0, build(Metrics(), health, lambda: "base"))
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def http(server: SideServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that side port."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        yield client


def make_ready(health: DaemonHealth) -> None:
    """Turn every check to ok."""
    for check in CHECKS:
        health.set(check, ok=True)


async def test_readyz_is_503_and_names_each_reason_until_all_checks_are_ok(
    http: httpx.AsyncClient, health: DaemonHealth
) -> None:
    """An orchestrator sends no work before the daemon is ready, and a person sees what is missing."""
    health.set("model", ok=False, reason="downloading base: 35 %")
    health.set("consumer", ok=True)

    before = await http.get("/readyz")
    make_ready(health)
    after = await http.get("/readyz")

    assert before.status_code == 503
    assert before.json() == {
        "ready": False,
        "checks": {
            "model": {"ok": False, "reason": "downloading base: 35 %"},
            "publisher": {"ok": False, "reason": "starting"},
            "consumer": {"ok": True, "reason": ""},
        },
    }
    assert list(before.json()["checks"]) == list(CHECKS)
    assert (after.status_code, after.json()["ready"]) == (200, True)


async def test_healthz_is_200_although_nothing_is_ready(http: httpx.AsyncClient) -> None:
    """A liveness probe must not restart a daemon that only waits for its broker."""
    answer = await http.get("/healthz")

    assert answer.status_code == 200
    assert answer.json()["alive"] is True


async def test_health_keeps_the_old_services_answer(http: httpx.AsyncClient, health: DaemonHealth) -> None:
    """Monitors of the old service read exactly this object; not ready is a 503 that shows whether it ever was."""
    starting = await http.get("/health")
    make_ready(health)
    ok = await http.get("/health")
    health.set("publisher", ok=False, reason="connection lost")
    lost = await http.get("/health")

    assert (starting.status_code, starting.json()) == (503, {"status": "starting", "model": "whisper-base"})
    assert (ok.status_code, ok.json()) == (200, {"status": "ok", "model": "whisper-base"})
    assert (lost.status_code, lost.json()) == (503, {"status": "unavailable", "model": "whisper-base"})


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0"),
    ],
)
async def test_metrics_speak_the_format_that_is_asked_for(http: httpx.AsyncClient, accept: str, expected: str) -> None:
    """Old and new scrapers both get what they can read."""
    answer = await http.get("/metrics", headers={"accept": accept})

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(expected)
    assert answer.text.rstrip().endswith("# EOF") == ("openmetrics" in expected)


async def test_the_status_page_shows_every_check_and_loads_nothing_from_outside(
    http: httpx.AsyncClient, health: DaemonHealth
) -> None:
    """The page works on a machine without internet; a reason is text, never markup."""
    health.set("publisher", ok=False, reason="<script>alert(1)</script>")

    answer = await http.get("/")

    assert answer.headers["content-type"].startswith("text/html")
    assert all(check in answer.text for check in CHECKS)
    assert "<script" not in answer.text
    assert "https://" not in answer.text
    assert "http://" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for link in re.findall(r'<a href="([^"]+)"', answer.text):
        assert (await http.get(link)).status_code in {200, 503}


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/health"])
async def test_only_reading_is_allowed(http: httpx.AsyncClient, path: str) -> None:
    """The side port changes nothing: HEAD and GET answer, everything else is refused."""
    head = await http.head(path)
    post = await http.post(path, content=b"x" * 100_000)

    assert head.status_code in {200, 503}
    assert head.content == b""
    assert post.status_code == 405


async def test_answers_do_not_name_the_server_and_are_not_cached(http: httpx.AsyncClient) -> None:
    """A proxy must not replay yesterday's health, and the server's brand is not shown."""
    answer = await http.get("/readyz")

    assert "server" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


async def test_a_taken_port_is_an_error_with_the_next_step(server: SideServer) -> None:
    """The operator reads which address is taken and which settings change it; the exit code is documented."""
    port = int(server.url.rpartition(":")[2])
    second = SideServer("127.0.0.1", port, build(Metrics(), DaemonHealth(CHECKS), lambda: "base"))

    with pytest.raises(SidePortUnusable, match=rf"127\.0\.0\.1:{port} .*STTD_SIDE_PORT") as caught:
        await second.start()

    assert caught.value.exit_code is ExitCode.SIDE_PORT


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0..0"])
async def test_an_address_of_another_machine_is_the_same_kind_of_error(host: str) -> None:
    """A wrong STTD_SIDE_HOST is reported as clearly as a taken port (192.0.2.1 is reserved for documentation).

    What can be no host's name raises no `OSError`: it was a traceback and exit code 1.
    """
    elsewhere = SideServer(host, 0, build(Metrics(), DaemonHealth(CHECKS), lambda: "base"))

    with pytest.raises(SidePortUnusable, match="set STTD_SIDE_HOST to an address of this machine") as caught:
        await elsewhere.start()
    assert "stop what listens" not in caught.value.message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EADDRINUSE, "in use"), "stop what listens there, or set A_PORT"),
        (OSError(errno.EADDRNOTAVAIL, "not here"), "set A_HOST to an address of this machine"),
        (socket.gaierror(socket.EAI_NONAME, "unknown name"), "set A_HOST to an address of this machine"),
        (PermissionError(errno.EACCES, "denied"), "set A_PORT to 1024 or more"),
        (OSError(errno.EAFNOSUPPORT, "no IPv6"), "set A_HOST or A_PORT"),
    ],
)
def test_the_advice_fits_the_reason_why_an_address_cannot_be_used(error: OSError, said: str) -> None:
    """Nobody listens on an address of another machine: there would be nothing to stop."""
    assert advice(error, "A_HOST", "A_PORT").startswith(said)


async def test_signals_stay_the_daemons_own(server: SideServer, http: httpx.AsyncClient) -> None:
    """Uvicorn usually takes SIGTERM and SIGINT; here SIGTERM has to reach the drain."""
    await http.get("/healthz")

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler or callable(signal.getsignal(signal.SIGINT))
    assert not server._server._captured_signals


async def test_a_thousand_idle_sockets_keep_nobody_out(server: SideServer, http: httpx.AsyncClient) -> None:
    """Silent connections are dropped, oldest first; Prometheus still gets its page."""
    port = int(server.url.rpartition(":")[2])
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1000)]

    answer = await http.get("/metrics")

    assert answer.status_code == 200
    assert len(server._server.server_state.connections) <= MAX_CONNECTIONS
    for _, writer in idle:
        writer.transport.abort()


async def test_a_request_that_never_ends_is_cut_off(server: SideServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends its head a byte at a time, or never reads, holds a socket for ten seconds at most.

    Here: a tenth of a second.
    """
    monkeypatch.setattr("sttd.consumer.side_port.server.REQUEST_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n")

    with contextlib.suppress(ConnectionResetError):  # a clean end is as good as a reset
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b"", (
            "the head was never finished, so nothing may be answered"
        )
    writer.transport.abort()


async def test_a_kept_connection_outlives_the_deadline_of_its_requests(
    server: SideServer, http: httpx.AsyncClient
) -> None:
    """The deadline is per request: a scraper that keeps its connection is not cut off between two scrapes."""
    await http.get("/metrics")
    (connection,) = server._server.server_state.connections
    assert isinstance(connection, _Connection)

    await wait_until(lambda: connection._deadline is None)

    assert (await http.get("/metrics")).status_code == 200
    assert server._server.server_state.connections == {connection}


async def test_closing_is_quick_with_dawdling_clients() -> None:
    """The end of the daemon never waits for an idle keep-alive connection or a half-sent request."""
    server = SideServer("127.0.0.1", 0, build(Metrics(), DaemonHealth(CHECKS), lambda: "base"))
    await server.start()
    port = int(server.url.rpartition(":")[2])
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    clients[0][1].write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await clients[0][0].readline()).startswith(b"HTTP/1.1 200")
    clients[1][1].write(b"GET /healthz HT")

    async with asyncio.timeout(PATIENCE):
        await server.close()
        await server.close()

    with pytest.raises(OSError, match=str(port)):
        await asyncio.open_connection("127.0.0.1", port)
    for _, writer in clients:
        writer.transport.abort()


async def test_watching_tells_when_the_server_has_ended(server: SideServer) -> None:
    """The daemon's watcher of long-lived tasks sees the end of this one too."""
    watcher = asyncio.create_task(server.watch())

    await server.close()

    await asyncio.wait_for(watcher, PATIENCE)
