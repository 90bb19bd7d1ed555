"""`sttd control` and real daemons: who answers, what each order does, and what is no order."""

import json
from collections.abc import Callable

import pika
import pytest
from typer.testing import CliRunner

from sttd.commands import main
from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note
from tests.support.waiting import wait_for

StartDaemon = Callable[..., DaemonProcess]
AUDIO = note(text=GROCERIES).path.read_bytes()


@pytest.fixture
def control(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Run `sttd control`; the lines of its table that are about daemons.

    Again while too few answered: on a busy machine 2 s are not always enough, and an order may be repeated.
    """
    monkeypatch.setenv("STTD_AMQP_URL", broker.amqp_url)

    def run(*words: str, exit_code: int = 0, daemons: int = 1) -> list[str]:
        found: list[str] = []

        def asked() -> bool:
            result = CliRunner().invoke(main.build(), ["control", *words])
            found[:] = result.stdout.splitlines()[1:]
            return result.exit_code == exit_code and (len(found) == daemons or exit_code > 1)

        wait_for(asked, f"answer to {words}", words=lambda: f": {found}")
        return found

    return run


def test_orders_reach_all_daemons_or_one(
    control: Callable[..., list[str]], start_daemon: StartDaemon, broker: Broker
) -> None:
    """A pause outlives the connection and shows where people look; a drain ends a daemon as SIGTERM does."""
    one, two = (start_daemon(worker=name, slots="1").wait_ready() for name in ("one", "two"))
    assert [line.split() for line in control("status", daemons=2)] == [
        [name, "0", "4", "info", "ok"] for name in ("one", "two")
    ]

    control("drain", "--worker", "two")
    assert two.wait_exit() == 0
    [line] = control("pause")
    assert "paused by an operator" in line
    broker.close_connections()
    wait_for(lambda: len(one.lines("bus_connected")) > 4, "new connections")
    broker.publish("stt.requests", AUDIO, delivery_mode=2)
    [line] = control("status")
    assert "paused by an operator" in line
    checks = json.loads(one.get("/readyz")[1])["checks"]
    assert not checks["accepting"]["ok"]
    assert "paused by an operator" in one.get("/")[1]
    assert one.metric("sttd_paused") == 1
    assert (broker.depth("stt.requests"), broker.consumers("stt.requests")) == (1, 0)

    control("resume")
    wait_for(lambda: broker.depth("stt.replies") == 1, "answer")
    assert one.ready()
    assert one.metric("sttd_paused") == 0


def test_a_daemon_is_tuned_while_it_runs(
    control: Callable[..., list[str]], daemon: DaemonProcess, broker: Broker
) -> None:
    """What it refuses it says, and the command's exit code with it; the rest is in force at once."""
    most = int(control("status")[0].split()[2])
    control("prefetch", str(most + 1), exit_code=1)
    assert control("prefetch", "1")[0].split()[2] == "1"
    control("log-level", "loud", exit_code=2)
    assert control("log-level", "debug")[0].split()[3] == "debug"
    broker.publish("stt.requests", AUDIO, delivery_mode=2)
    wait_for(lambda: broker.depth("stt.replies") == 1, "answer with a prefetch of 1")
    assert control("status", "--worker", "nobody", exit_code=3) == []
    assert daemon.ready()


def test_what_is_no_order_is_ignored_and_counted(daemon: DaemonProcess, broker: Broker) -> None:
    """A bot may publish to every queue by its name: an order counts only if it came through the exchange."""
    [queue] = [found["name"] for found in broker.queues() if found["name"].startswith("stt.operator.")]
    order = b'{"command": "pause"}'
    with broker.connect() as connection:
        channel = connection.channel()
        channel.basic_consume("amq.rabbitmq.reply-to", lambda *_: None, auto_ack=True)
        mine = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to")
        channel.basic_publish("", queue, order, mine)
        channel.basic_publish("stt.operator", "", order)
        channel.basic_publish("stt.operator", "", order, pika.BasicProperties(reply_to="stt.dead"))
        channel.basic_publish("stt.operator", "", b'{"command": "prefetch"}', mine)
        channel.basic_publish("stt.operator", "", b"\xff" * 2000, mine)
        wait_for(lambda: daemon.metric("sttd_orders_ignored_total") == 5, "five ignored messages")
    assert daemon.ready()


def test_without_a_daemon_the_command_says_so(control: Callable[..., list[str]], broker: Broker) -> None:
    """Exit code 3, whether the exchange is missing or nobody listens."""
    assert control("status", exit_code=3) == []
    with broker.connect() as connection:
        connection.channel().exchange_declare("stt.operator", "fanout", durable=True)
    assert control("status", exit_code=3) == []
