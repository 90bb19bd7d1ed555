"""What RabbitMQ refuses is told in the same words by daemon, client and commands; an alarm is no refusal."""

import asyncio
from typing import Any

import pytest
from aio_pika.abc import AbstractConnection
from pydantic import SecretStr
from typer.testing import CliRunner

from sttd import Client
from sttd.commands import main
from sttd.commands.connection import connected
from sttd.commands.exit_codes import Exit
from sttd.consumer.bus.link import Link, Loss
from sttd.consumer.bus.publisher import _Look
from sttd.errors import BrokerUnavailable
from sttd.settings import load
from tests.support.broker import Broker
from tests.support.fakes import DIRECT_ADDRESS, Watcher
from tools.rabbitmq import Node

SECRET = "s3cret-and-wrong"


async def told_by_the_daemon(url: str) -> set[str]:
    """The reasons of its first two attempts."""
    watcher = Watcher()

    async def never(*_: object) -> None:
        raise AssertionError("no connection, no session")

    running = asyncio.create_task(Link("consume", SecretStr(url), "worker-1", watcher).run(never, lambda: None))
    await watcher.until(lambda: len(watcher.losses("consume")) >= 2)
    running.cancel()
    await asyncio.wait({running})
    return set(watcher.losses("consume"))


async def told_by_the_client(url: str) -> str:
    """Its error."""
    with pytest.raises(BrokerUnavailable) as error:
        await Client(url).open()
    return str(error.value)


async def told_by_a_command(url: str) -> str:
    """The line on stderr."""
    with pytest.raises(BrokerUnavailable) as error:
        async with connected(load(amqp_url=url), "a command"):
            pass
    return str(error.value)


@pytest.mark.parametrize("wrong", ["password", "vhost"])
async def test_a_refused_login_or_vhost_is_one_sentence_wherever_it_is_told(wrong: str, broker: Broker) -> None:
    """An operator who reads one of them finds the others, and the docs, by searching for it."""
    password = wrong == "password"
    url = broker.url_for(broker.user, SECRET) if password else f"{broker.amqp_url}-missing"
    [daemon] = await told_by_the_daemon(url)
    assert daemon == await told_by_the_client(url) == await told_by_a_command(url)
    assert f"refuses the {'user or the password' if password else 'vhost'}" in daemon
    assert "Error" not in daemon
    assert SECRET not in daemon


async def test_a_fault_inside_rabbitmq_is_told_by_the_daemon_with_its_step(broker: Broker) -> None:
    """Here an address of a node that is not there, which closes the connection with 541 as a fault of its own does."""
    if broker.version[:2] == (4, 0):
        pytest.skip("4.0 answers that there is no such queue")
    watcher = Watcher()

    async def session(connection: AbstractConnection, _loss: Loss) -> None:
        channel = await connection.channel(publisher_confirms=False)
        underlay: Any = await channel.get_underlay_channel()
        await underlay.rpc(_Look(queue=DIRECT_ADDRESS, passive=True))

    link = Link("consume", SecretStr(broker.amqp_url), "worker-1", watcher)
    running = asyncio.create_task(link.run(session, lambda: None))
    await watcher.until(lambda: bool(watcher.losses("consume")))
    running.cancel()
    await asyncio.wait({running})
    (told,) = set(watcher.losses("consume"))
    assert "failed inside" in told
    assert "INTERNAL_ERROR" in told
    assert "docs/reliability.md" in told
    assert "is it running" not in told


def test_an_order_that_is_not_confirmed_points_to_the_alarm_and_not_to_the_permissions(
    own_node: Node, own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a memory alarm RabbitMQ reads no more from who publishes; the user's rights are as they should be."""
    monkeypatch.setenv("STTD_AMQP_URL", own_broker.amqp_url)
    run = CliRunner().invoke
    assert run(main.build(), ["topology", "declare"]).exit_code == Exit.OK
    own_node.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
    try:
        done = run(main.build(), ["control", "status"])
    finally:
        own_node.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
    assert done.exit_code == Exit.BROKER
    assert "look at its alarms" in done.stderr
    assert "permissions" not in done.stderr
