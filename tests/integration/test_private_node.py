"""The private RabbitMQ works as documented: other tests build on it, so it is tested like a part of the product."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from tests.support.amqp_raw import POISON_PROPERTIES, REFUSED_PROPERTIES, Refused, get_raw, publish_raw
from tests.support.broker import Broker, wait_until
from tests.support.waiting import PATIENCE
from tools.rabbitmq import Node
from tools.rabbitmq.guard import MARKER, Claim

pytestmark = pytest.mark.slow("brokers of their own")

RUN = [sys.executable, "-m", "tools.rabbitmq", "run", "--"]
ROOT = Path(__file__).resolve().parents[2]


def processes_of(directory: Path) -> list[str]:
    """Command lines of all processes that carry the node's marker."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARKER}={directory}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (OSError, ProcessLookupError):  # it ended while we looked
            continue
    return found


def answers(port: int) -> bool:
    """Whether a server listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def runner() -> Iterator[subprocess.Popen[bytes]]:
    """`run -- CMD` with a command that prints where its broker is and then waits for a signal."""
    script = "import os, signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5));"
    script += f"print('address', os.environ['STTD_AMQP_URL'], os.environ['{MARKER}'], flush=True); signal.pause()"
    environment = {name: value for name, value in os.environ.items() if name != "STTD_AMQP_URL"}
    with subprocess.Popen(
        [*RUN, sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as process:
        yield process
        process.kill()


def told(runner: subprocess.Popen[bytes]) -> tuple[int, Path]:
    """Port and directory of the runner's node."""
    assert runner.stdout is not None
    word, url, directory = runner.stdout.readline().decode().split()
    assert word == "address"
    parameters = pika.URLParameters(url)
    return parameters.port, Path(directory)


async def test_a_durable_message_is_still_there_after_a_restart(own_broker: Broker, own_node: Node) -> None:
    """Tests that restart the broker may rely on ports, users and durable messages staying."""
    own_broker.declare("kept", x_queue_type="quorum")
    own_broker.publish("kept", b"body", delivery_mode=2)
    own_node.restart()
    assert await wait_until(lambda: own_broker.take("kept"))


async def test_a_killed_node_leaves_no_process_and_starts_again_with_its_data(
    own_broker: Broker, own_node: Node
) -> None:
    """SIGKILL is a crash, not a clean-up: everything ends at once, confirmed messages stay."""
    own_broker.declare("kept", x_queue_type="quorum")
    own_broker.publish("kept", b"body", delivery_mode=2)
    own_node.flush()
    own_node.kill()
    assert own_node.pid is None
    await wait_until(lambda: not processes_of(own_node.directory))
    assert not answers(own_node.plan.amqp_port)
    own_node.start()
    assert await wait_until(lambda: own_broker.take("kept"))


def test_a_frozen_node_keeps_its_connections_and_answers_after_the_thaw(own_broker: Broker, own_node: Node) -> None:
    """The fault that heartbeats are for: nothing is closed, nothing is answered."""
    own_broker.declare("queue")
    with socket.create_connection(("127.0.0.1", own_node.plan.amqp_port), timeout=0.5) as connection:
        own_node.freeze()
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        own_node.thaw()
        connection.settimeout(PATIENCE)
        assert connection.recv(1) == b"\x01"
    assert own_broker.depth("queue") == 0


def test_rabbitmqctl_reaches_the_node_and_no_other(node: Node) -> None:
    """Faults that only rabbitmqctl can make are made on the private node."""
    if not isinstance(node, Node):
        pytest.skip("rabbitmqctl needs a private node")
    assert node.plan.user in node.rabbitmqctl("--quiet", "list_users")


def test_only_loopback_is_listened_on(node: Node) -> None:
    """A developer's machine shows nothing of it to its network."""
    if not isinstance(node, Node):
        pytest.skip("an external broker listens where it likes")
    ports = {node.plan.amqp_port, node.plan.management_port, node.plan.dist_port}
    listening = [
        line.split()[1].split(":")
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert {address for address, port in listening if int(port, 16) in ports} == {"0100007F"}


async def test_run_gives_the_commands_exit_code_and_stops_the_node(runner: subprocess.Popen[bytes]) -> None:
    """`make demo` fails when the demo fails, a signal reaches the command once, and nothing is left."""
    port, directory = told(runner)
    assert answers(port)
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(PATIENCE) == 5
    assert not answers(port)
    assert not directory.exists()
    assert processes_of(directory) == []


async def test_a_killed_runner_takes_node_and_command_with_it(runner: subprocess.Popen[bytes]) -> None:
    """No cleanup follows SIGKILL, so the guard does it: node, command and directory go."""
    _, directory = told(runner)
    runner.kill()
    await wait_until(lambda: not directory.exists() and not processes_of(directory))


def test_run_uses_the_broker_that_is_named() -> None:
    """With STTD_AMQP_URL set no node is started: the command gets the address as it is, and no node's directory."""
    script = f"import os; print(os.environ['STTD_AMQP_URL'], os.environ.get('{MARKER}'))"
    environment = os.environ | {"STTD_AMQP_URL": "amqp://elsewhere.invalid/"}
    done = subprocess.run(
        [*RUN, sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["amqp://elsewhere.invalid/", "None"]
    assert done.stderr == ""


async def test_the_broker_of_make_run_has_its_address_and_its_queues_again(tmp_path: Path) -> None:
    """Notes that were left to the broker at Ctrl-C are answered at the next run, and the bot needs no new address."""
    with Node(tmp_path, kept=True) as node:
        url = node.amqp_url
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
            channel.basic_publish("", "kept", b"body", pika.BasicProperties(delivery_mode=2))
    with Node(tmp_path, kept=True) as node:
        assert node.amqp_url == url
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            assert await wait_until(lambda: channel.basic_get("kept", auto_ack=True)[2])


def test_the_directory_of_a_dead_owner_is_swept_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    """A power cut leaves a directory behind; the next run removes it and harms no run beside it."""
    living = Claim(tmp_path)
    dead = tmp_path / "1-abcdef"
    dead.mkdir()
    (dead / "lock").touch()
    newest = Claim(tmp_path)
    assert not dead.exists()
    assert living.directory.is_dir()
    for claim in (living, newest):
        claim.close()


@pytest.mark.parametrize("name", POISON_PROPERTIES)
def test_poison_properties_pass_the_broker(broker: Broker, name: str) -> None:
    """The tests against poison are worth something only if the broker really delivers it."""
    flags, properties = POISON_PROPERTIES[name]
    broker.declare("poison")
    publish_raw(broker.amqp_url, "poison", b"body", flags, properties)
    delivered = get_raw(broker.amqp_url, "poison")
    assert (delivered.property_flags, delivered.property_bytes, delivered.body) == (flags, properties, b"body")


@pytest.mark.parametrize("name", REFUSED_PROPERTIES)
def test_refused_properties_do_not_pass_the_broker(broker: Broker, name: str) -> None:
    """What the broker refuses needs no guard in the daemon; should a newer broker accept it, this test fails."""
    flags, properties = REFUSED_PROPERTIES[name]
    broker.declare("refused")
    with pytest.raises(Refused):
        publish_raw(broker.amqp_url, "refused", b"body", flags, properties)
    assert broker.depth("refused") == 0
