"""`amqps://` against a real TLS listener: own CA, client certificate, and refusal of what cannot be trusted.

The URL's query names the files (`cafile`, `certfile`, `keyfile`), as aio-pika reads it; daemon and client alike.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
import trustme
from pydantic import SecretStr

from sttd import Client
from sttd.consumer.bus.link import Link
from sttd.consumer.bus.publisher import AmqpPublisher
from sttd.consumer.bus.seam import Outgoing
from sttd.consumer.errors import Unconfirmed
from sttd.errors import BrokerUnavailable
from tests.support.broker import Broker
from tests.support.fakes import Watcher
from tests.support.waiting import BRIEFLY
from tools.rabbitmq import Node
from tools.rabbitmq.plan import free_ports


@dataclass(frozen=True)
class TlsBroker:
    """A node with TLS that requires a client certificate."""

    broker: Broker
    port: int
    files: Path

    def url(self, host: str = "localhost", **query: str) -> str:
        """The vhost over TLS; without `query` it names our CA and our certificate."""
        given = query or {name: str(self.files / f"{name}.pem") for name in ("cafile", "certfile", "keyfile")}
        return f"amqps://{self.broker.user}:{self.broker.password}@{host}:{self.port}/{self.broker.vhost}?{urlencode(given)}"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    """A private node with a certificate for `localhost`, made for this test."""
    files = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(files / "cafile.pem")
    for name, identity in (("server", "localhost"), ("bot", "bot.example")):
        certificate = authority.issue_cert(identity)
        certificate.cert_chain_pems[0].write_to_path(files / ("certfile.pem" if name == "bot" else "server.pem"))
        certificate.private_key_pem.write_to_path(files / ("keyfile.pem" if name == "bot" else "server.key"))
    trustme.CA().cert_pem.write_to_path(files / "stranger.pem")
    [port] = free_ports(1)
    settings = {
        "listeners.ssl.1": f"127.0.0.1:{port}",
        "ssl_options.cacertfile": str(files / "cafile.pem"),
        "ssl_options.certfile": str(files / "server.pem"),
        "ssl_options.keyfile": str(files / "server.key"),
        "ssl_options.verify": "verify_peer",
        "ssl_options.fail_if_no_peer_cert": "true",
    }
    with Node(settings=settings) as node, Broker(node) as broker:
        yield TlsBroker(broker, port, files)


async def _first_word(url: str) -> str:
    """The first log message of the daemon's publishing link about this URL."""
    watcher = Watcher()
    publisher = AmqpPublisher(Link("publish", SecretStr(url), "tls-test", watcher), watcher, 5.0)
    running = asyncio.create_task(publisher.run())
    await watcher.until(lambda: bool(watcher.told))
    if watcher.told[0] == ("connected", "publish"):
        await publisher.publish(Outgoing("tls.queue", b"{}"))
    else:
        publisher._confirm_seconds = 0.1
        with pytest.raises(Unconfirmed):
            await publisher.publish(Outgoing("tls.queue", b"{}"))
    running.cancel()
    await asyncio.wait({running})
    return " ".join(watcher.told[0])


@pytest.mark.slow("a daemon and a broker of its own")
async def test_the_daemon_publishes_over_tls_with_its_own_ca_and_certificate(tls: TlsBroker) -> None:
    """Audio and transcripts cross a network that others read."""
    tls.broker.declare("tls.queue")

    assert await _first_word(tls.url()) == "connected publish"

    assert tls.broker.depth("tls.queue") == 1


@pytest.mark.parametrize(
    ("host", "query", "words"),
    [
        ("127.0.0.1", None, "certificate verify failed"),
        (
            "localhost",
            {"cafile": "stranger.pem", "certfile": "certfile.pem", "keyfile": "keyfile.pem"},
            "certificate verify failed",
        ),
        ("localhost", {"cafile": "cafile.pem"}, "lost"),
    ],
    ids=["another host's name", "a stranger's CA", "no client certificate"],
)
async def test_what_cannot_be_trusted_is_refused(
    tls: TlsBroker, host: str, query: dict[str, str] | None, words: str
) -> None:
    """Verification is on by default, in both directions, and the reason is logged without the password."""
    named = {key: str(tls.files / value) for key, value in (query or {}).items()}

    told = await _first_word(tls.url(host, **named))

    assert words in told
    assert tls.broker.password not in told


async def test_the_client_speaks_tls_too_and_says_what_is_wrong(tls: TlsBroker) -> None:
    """A bot uses the same URL as the daemon."""
    async with Client(tls.url()) as client:
        assert client.connected
    named = {"cafile": str(tls.files / "stranger.pem")}
    with pytest.raises(BrokerUnavailable) as refused:
        async with Client(tls.url(**named), timeout=BRIEFLY) as client:
            await client.transcribe(b"audio")
    assert tls.broker.password not in str(refused.value)
