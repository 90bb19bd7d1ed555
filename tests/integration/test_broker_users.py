"""The least-privilege users on a RabbitMQ that booted with their definitions: each has its own rights only."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pika.exceptions
import pytest
from typer.testing import CliRunner

from sttd import Client
from sttd.commands import main
from sttd.schemas import names
from tests.support import compose
from tests.support.broker import wait_until
from tests.support.daemon import DaemonProcess
from tests.support.gateway import GatewayProcess
from tests.support.notes import GROCERIES, note, spoken
from tools.rabbitmq import Node

pytestmark = pytest.mark.slow("a broker of its own, and daemons of each user")

ROOT = Path(__file__).resolve().parents[2]
USERS_PY = ROOT / "deploy" / "rabbitmq" / "users.py"
TABLE = json.loads((ROOT / "deploy" / "rabbitmq" / "users.json").read_text(encoding="utf-8"))
REFUSED = 403


def users_py(*words: str) -> str:
    """Run the script as compose does; returns what it prints."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STTD_")}
    done = subprocess.run(
        [sys.executable, str(USERS_PY), *words], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


class Site:
    """A broker with the users, and their addresses as the script shows them."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node = node
        self.folder = folder
        self.address = f"127.0.0.1:{urlsplit(node.amqp_url).port}"

    def url(self, user: str) -> str:
        return users_py("show", "--users", str(self.folder / "users"), "--broker", self.address, user).strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Users made by the script, imported by the broker at its boot with compose's settings.

    The node's own administrator is added.
    """
    folder = tmp_path_factory.mktemp("credentials")
    for name in ("users", "definitions", "daemon", "gateway"):
        (folder / name).mkdir()
    imported = (
        Path("/tmp") / f"{folder.parent.name}-{folder.name}-definitions.json"
    )  # the broker's own user must be able to read it
    lines = (ROOT / "deploy" / "rabbitmq" / "rabbitmq.conf").read_text(encoding="utf-8").splitlines()
    configured = dict(line.split(" = ") for line in lines if line and not line.startswith("#"))
    assert configured["load_definitions"] == "/credentials/definitions/definitions.json"
    limit = compose.services()["rabbitmq"]["environment"]
    node = Node(settings=configured | {"load_definitions": str(imported)}, variables=limit)
    try:
        place = Site(node, folder)
        urls = [word for user in ("daemon", "gateway") for word in ("--url", f"{user}={folder / user}")]
        where = [
            "--users",
            str(folder / "users"),
            "--definitions",
            str(folder / "definitions"),
            "--broker",
            place.address,
        ]
        users_py("write", *where, *urls)
        made = json.loads((folder / "definitions" / "definitions.json").read_text(encoding="utf-8"))
        made["users"].append({"name": node.plan.user, "password": node.plan.password, "tags": ["administrator"]})
        imported.write_text(json.dumps(made), encoding="utf-8")
        node.start()
        yield place
    finally:
        node.close()
        imported.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def daemon(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """The daemon as compose starts it: its address is a file in its credentials directory, and in no environment."""
    log = tmp_path_factory.mktemp("log") / "daemon.log"
    process = DaemonProcess("", log, CREDENTIALS_DIRECTORY=str(site.folder / "daemon"), slots="1").start()
    try:
        yield process.wait_ready()
    finally:
        process.close()


def test_the_broker_counts_from_the_memory_that_compose_gives_it(site: Site) -> None:
    """It stops taking requests at 60 % of its own limit, not of the host's memory.

    It does not detect every kind of limit itself.
    """
    limit = compose.size(compose.services()["rabbitmq"]["mem_limit"])
    told = site.node.rabbitmqctl("eval", "vm_memory_monitor:get_memory_limit().")
    assert 0.55 * limit < int(told) < 0.6 * limit + 1


@pytest.mark.parametrize("user", ["bot", "gateway"])
async def test_who_asks_gets_answers_and_may_cancel(user: str, site: Site, daemon: DaemonProcess) -> None:
    """Request, own reply queue, the check of the lanes, the cancel: all that a caller does."""
    async with Client(site.url(user)) as client:
        assert (await client.queue_state()).consumers == 1
        for queue in ("stt.requests.overflow", names.REQUESTS_BULK):
            assert (await client.queue_state(queue)).waiting == 0
        answer = await client.transcribe(note(text=GROCERIES).path)
    assert spoken(answer.text) == spoken(GROCERIES)
    with pika.BlockingConnection(pika.URLParameters(site.url(user))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(names.CONTROL_EXCHANGE, "", b'{"cancel": "some-note"}')
    assert not daemon.lines("control_refused")


def test_the_gateway_is_healthy(site: Site, daemon: DaemonProcess, tmp_path: Path) -> None:
    """Compose starts nothing behind an unhealthy gateway: its health check reads the queue with its own user."""
    with GatewayProcess(site.url("gateway"), tmp_path / "gateway") as gateway:
        assert gateway.wait_health(200).json()["status"] == "ok"


async def test_the_daemon_needs_no_configure_right_on_queues_that_exist(
    site: Site, daemon: DaemonProcess, tmp_path: Path
) -> None:
    """`check` for production: it serves, receives cancels, and cannot change a queue."""
    checking = DaemonProcess(site.url("daemon-check"), tmp_path / "log", topology="check", slots="1").start()
    try:
        checking.wait_ready()
        assert not checking.lines("control_refused")
        assert not checking.lines("topology_hidden")
        environment = {"STTD_AMQP_URL": site.url("operator")}
        seen = await asyncio.to_thread(CliRunner().invoke, main.build(), ["control", "status"], env=environment)
        assert len(seen.stdout.splitlines()) == 1 + 2, seen.output
        assert daemon.stop() == 0
        async with Client(site.url("bot")) as client:
            assert spoken((await client.transcribe(note(text=GROCERIES).path)).text) == spoken(GROCERIES)
            with pika.BlockingConnection(pika.URLParameters(site.url("bot"))) as connection:
                properties = pika.BasicProperties(message_id="no-way-back", reply_to="stt.dead", delivery_mode=2)
                connection.channel().basic_publish("", names.REQUESTS, b"audio", properties)
        await wait_until(lambda: depth(site.url("operator"), names.DEAD) == 1)
        assert checking.stop() == 0
    finally:
        checking.close()


def depth(url: str, queue: str) -> int:
    """How many messages a user sees in a queue."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).method.message_count)


def test_the_operator_sees_sends_again_and_drops_dead_letters(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sttd dead`, `sttd control` and `sttd topology check` need no more than the operator's lines."""
    with pika.BlockingConnection(pika.URLParameters(site.url("daemon"))) as connection:
        for number in range(2):
            headers = {"sttd-reason": "poison", "sttd-error-code": "poison"}
            properties = pika.BasicProperties(
                message_id=f"dead-{number}", reply_to="amq.rabbitmq.reply-to.x", headers=headers, delivery_mode=2
            )
            connection.channel().basic_publish(names.DEAD_EXCHANGE, names.REQUESTS, b"audio", properties)
    monkeypatch.setenv("STTD_AMQP_URL", site.url("operator"))

    def run(*words: str) -> str:
        result = CliRunner().invoke(main.build(), words, env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        return result.output

    assert "dead-1" in run("dead", "list")
    run("dead", "requeue", "dead-0", "--yes")
    run("dead", "drop", "dead-1", "--yes")
    assert "dead-" not in run("dead", "list")
    assert depth(site.url("operator"), names.REQUESTS) == 1
    run("topology", "check")


Attempt = Callable[[Any], Any]


def reading(queue: str) -> Attempt:
    """Take a message."""
    return lambda channel: channel.basic_get(queue)


def declaring(queue: str) -> Attempt:
    """Make a queue."""
    return lambda channel: channel.queue_declare(queue, durable=True)


def deleting(queue: str) -> Attempt:
    """Delete a queue."""
    return lambda channel: channel.queue_delete(queue)


def publishing(exchange: str) -> Attempt:
    """Publish through an exchange, and return the broker's answer."""

    def attempt(channel: Any) -> None:
        channel.confirm_delivery()
        channel.basic_publish(exchange, "stt.requests", b"x")

    return attempt


ASKING = [
    ("reads requests", reading("stt.requests")),
    ("reads overflow", reading("stt.requests.overflow")),
    ("reads dead letters", reading("stt.dead")),
    ("reads others' replies", reading("stt.replies")),
    ("empties the queue", lambda channel: channel.queue_purge("stt.requests")),
    ("deletes the queue", deleting("stt.requests")),
    ("makes one of the daemon's queues", declaring("stt.new")),
    ("writes dead letters", publishing("stt.dlx")),
    ("writes retries", publishing("stt.retry.10s")),
    ("pauses daemons", publishing("stt.operator")),
    ("hears orders", lambda channel: channel.queue_bind("amq.gen-x", "stt.operator")),
    ("feeds the queue from elsewhere", lambda channel: channel.queue_bind("stt.requests", "stt.control")),
    ("hears cancels", lambda channel: channel.queue_bind("amq.gen-x", "stt.control")),
]
FORBIDDEN: list[tuple[str, str, Attempt]] = [
    *((user, what, attempt) for user in ("bot", "gateway") for what, attempt in ASKING),
    ("daemon", "makes a bot's queue", declaring("sttd.client.x")),
    ("daemon", "reads a bot's replies", reading("sttd.client.x")),
    ("daemon", "writes to another exchange", publishing("amq.topic")),
    ("daemon-check", "makes a queue", declaring("stt.new")),
    ("daemon-check", "deletes a queue", deleting("stt.dead")),
    ("daemon-check", "reads dead letters", reading("stt.dead")),
    ("operator", "reads requests", reading("stt.requests")),
    ("operator", "reads replies", reading("stt.replies")),
    ("operator", "makes a queue", declaring("stt.new")),
    ("operator", "deletes dead letters with their queue", deleting("stt.dead")),
    ("operator", "empties a queue", lambda channel: channel.queue_purge("stt.requests")),
    ("operator", "feeds one queue from another", lambda channel: channel.queue_bind("stt.requests", "stt.dlx")),
    ("scaler", "reads requests", reading("stt.requests")),
    ("scaler", "empties the queue", lambda channel: channel.queue_purge("stt.requests")),
    ("scaler", "asks something", publishing("")),
    ("scaler", "pauses daemons", publishing("stt.operator")),
    ("scaler", "makes a queue", declaring("stt.new")),
]


@pytest.mark.parametrize(("user", "what", "attempt"), FORBIDDEN, ids=[f"{user} {what}" for user, what, _ in FORBIDDEN])
def test_nobody_does_what_is_anothers(
    user: str, what: str, attempt: Attempt, site: Site, daemon: DaemonProcess
) -> None:
    """A stolen password opens no more than its own door."""
    with pika.BlockingConnection(pika.URLParameters(site.url(user))) as connection:
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
            attempt(connection.channel())
        assert closed.value.reply_code == REFUSED, what


@pytest.mark.parametrize("user", TABLE["users"])
def test_nobody_enters_another_vhost(user: str, site: Site) -> None:
    """Other users of this broker are left alone."""
    parameters = pika.URLParameters(site.url(user))
    parameters.virtual_host = "/"
    with pytest.raises(pika.exceptions.AMQPConnectionError), pika.BlockingConnection(parameters):
        pass


@pytest.mark.parametrize("queue", [names.REQUESTS, "stt.requests.overflow", names.REQUESTS_BULK])
def test_the_scaler_sees_how_many_notes_wait(queue: str, site: Site, daemon: DaemonProcess) -> None:
    """KEDA asks with a passive declaration, for which RabbitMQ needs some permission since 4.2.6."""
    assert depth(site.url("scaler"), queue) >= 0
