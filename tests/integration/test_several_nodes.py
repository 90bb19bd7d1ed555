"""A broker that is several nodes: a client that lists them all gets to one that is up.

Two proxies stand in front of one RabbitMQ.
"""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from aio_pika.abc import AbstractConnection
from pydantic import SecretStr
from typer.testing import CliRunner

from sttd import Client, amqp
from sttd.commands import main
from sttd.commands.exit_codes import Exit
from sttd.consumer.bus import intake, topology, watch
from sttd.consumer.bus.link import Link, Loss
from sttd.consumer.bus.seam import Incoming
from sttd.schemas import names
from sttd.service import broker_address
from tests.support.broker import Broker
from tests.support.fake_daemon import FakeDaemon
from tests.support.fakes import Watcher
from tests.support.proxy import Proxy
from tests.support.waiting import PATIENCE


@pytest.fixture
def nodes(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Proxy, Proxy]]:
    """Two nodes; each process tries them in the order that they are written in, so that the order is fixed here."""
    monkeypatch.setattr(broker_address, "shuffled", broker_address.each)
    parts = urlsplit(broker.amqp_url)
    target = (parts.hostname or "", parts.port or 0)
    with Proxy(target) as first, Proxy(target) as second:
        yield first, second


def listed(broker: Broker, nodes: tuple[Proxy, Proxy]) -> str:
    """STTD_AMQP_URL with both."""
    own = f":{urlsplit(broker.amqp_url).port}/"
    return ", ".join(broker.amqp_url.replace(own, f":{node.port}/") for node in nodes)


async def test_a_daemons_connection_goes_to_another_node_when_its_own_is_gone(
    broker: Broker, nodes: tuple[Proxy, Proxy]
) -> None:
    """It does not wait for that very node to come back."""
    watcher = Watcher()
    link = Link("consume", SecretStr(listed(broker, nodes)), "w", watcher)

    async def idle(_connection: AbstractConnection, _loss: Loss) -> None:
        """Nothing to set up."""

    running = asyncio.create_task(link.run(idle, lambda: None))
    await watcher.until(lambda: watcher.connects("consume") == 1)
    assert nodes[0].cut() == 1
    await watcher.until(lambda: watcher.connects("consume") == 2)
    assert (nodes[0].cut(), nodes[1].cut()) == (0, 1)
    await watcher.until(lambda: watcher.connects("consume") == 3)
    running.cancel()
    await asyncio.wait({running})


async def test_to_register_anew_at_each_look_loses_no_request_and_delivers_none_twice(
    broker: Broker, nodes: tuple[Proxy, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What shows a daemon that its node serves must not disturb the service."""
    monkeypatch.setattr(watch, "EVERY_OF_SEVERAL", 0.0)
    link, taken = Link("consume", SecretStr(listed(broker, nodes)), "w", Watcher()), list[bytes]()
    consuming = intake.AmqpIntake(link=link, plan=topology.build(), mode="declare", lanes={names.REQUESTS: 2})
    acks: set[asyncio.Task[None]] = set()

    def take(incoming: Incoming) -> None:
        taken.append(incoming.body)
        acks.add(asyncio.create_task(incoming.settler.ack()))

    running = asyncio.create_task(consuming.run(take, lambda: None))
    await broker.wait_until(lambda: broker.consumers(names.REQUESTS) > 0)
    for number in range(30):
        broker.publish(names.REQUESTS, b"%d" % number)
        await asyncio.sleep(0)
    await broker.wait_until(lambda: len(taken) >= 30)
    await asyncio.gather(*acks)
    running.cancel()
    await asyncio.wait({running})

    assert sorted(map(int, taken)) == list(range(30))
    await broker.wait_until(lambda: broker.depth(names.REQUESTS) == 0)


async def test_a_client_opens_at_the_node_that_lives_and_moves_when_it_is_gone(
    broker: Broker, nodes: tuple[Proxy, Proxy], unused_tcp_port: int
) -> None:
    """A call that is made meanwhile is answered."""
    dead = broker.amqp_url.replace(f":{urlsplit(broker.amqp_url).port}/", f":{unused_tcp_port}/")
    async with FakeDaemon(broker.amqp_url), Client(f"{dead},{listed(broker, nodes)}") as client:
        assert (await client.transcribe(b"one", timeout=20)).text == "one"
        assert nodes[0].cut() == 1
        assert (await client.transcribe(b"two", timeout=20)).text == "two"
        assert (nodes[0].cut(), nodes[1].cut()) == (0, 1)


async def test_a_client_leaves_a_node_that_confirms_nothing_and_asks_another(
    broker: Broker, nodes: tuple[Proxy, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that is cut off from the others keeps its connections; heartbeats would never end them.

    The reply queue is on all nodes: of a classic one the client could not have its answers elsewhere.
    """
    monkeypatch.setattr(amqp, "CONFIRM_SECONDS", 0.2)
    monkeypatch.setattr(amqp, "HEARTBEAT", 600)
    async with FakeDaemon(broker.amqp_url), Client(listed(broker, nodes)) as client:
        nodes[0].stall()
        assert (await client.transcribe(b"one", timeout=PATIENCE)).text == "one"
        assert (nodes[0].cut(), nodes[1].cut()) == (1, 1)
        (queue,) = [
            queue
            for queue in broker.management.call("GET", f"queues/{broker.vhost}")
            if queue["name"].startswith("sttd.client.")
        ]
        assert queue["type"] == "quorum"


def test_commands_ask_the_first_node_that_answers(
    broker: Broker, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of them is down is unknown; when all are, each is named."""
    dead = broker.amqp_url.replace(f":{urlsplit(broker.amqp_url).port}/", f":{unused_tcp_port}/")
    monkeypatch.setenv("STTD_AMQP_URL", f"{dead},{broker.amqp_url}")
    assert CliRunner().invoke(main.build(), ["topology", "declare"]).exit_code == Exit.OK
    monkeypatch.setenv("STTD_AMQP_URL", f"{dead},{dead}")
    result = CliRunner().invoke(main.build(), ["topology", "check"])
    assert (result.exit_code, result.stderr.count(f"127.0.0.1:{unused_tcp_port}/")) == (Exit.BROKER, 2)
    assert broker.password not in result.stderr
