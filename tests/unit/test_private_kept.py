"""What `make run` keeps between two runs: ports and password of its broker, in a directory that one process has."""

import socket
from pathlib import Path

import pytest

from tools.rabbitmq.errors import NodeError
from tools.rabbitmq.guard import Guard, KeptClaim
from tools.rabbitmq.node import Node
from tools.rabbitmq.plan import Identity, Plan


def test_the_address_is_drawn_once(tmp_path: Path) -> None:
    """A bot's `.env` names it."""
    first = Identity.kept(tmp_path / "identity.json")
    assert Identity.kept(tmp_path / "identity.json") == first


def test_its_address_is_known_also_while_it_does_not_run(tmp_path: Path) -> None:
    """A shell has exported it, or `.env` names it: `make run` starts that broker then, and does not wait for it."""
    (tmp_path / "3.10.8").mkdir()
    who = Identity.kept(tmp_path / "3.10.8" / "identity.json")
    assert Node.keeps(Plan.of(who, tmp_path, {}, {}).amqp_url, tmp_path)
    assert not Node.keeps("amqp://guest:guest@localhost/", tmp_path)


def test_a_kept_port_that_is_taken_is_named_with_the_next_step(tmp_path: Path) -> None:
    """Another port would be a surprise for the bot; RabbitMQ's own message is a page of Erlang."""
    port = Identity.kept(tmp_path / "identity.json").ports[0]
    with socket.create_server(("127.0.0.1", port)), pytest.raises(NodeError, match=rf"port {port}.*remove"):
        Identity.kept(tmp_path / "identity.json")


def test_two_runs_cannot_have_one_directory(tmp_path: Path) -> None:
    """Two brokers on the same files would damage the queues."""
    first = KeptClaim(tmp_path / "kept")
    with pytest.raises(NodeError, match="in use"):
        KeptClaim(tmp_path / "kept")
    first.close()
    KeptClaim(tmp_path / "kept").close()


def test_the_guard_leaves_a_kept_directory(tmp_path: Path) -> None:
    """It ends processes all the same; what it must not remove are the queues."""
    for name, keep in (("kept", True), ("own", False)):
        (tmp_path / name).mkdir()
        Guard(tmp_path / name, keep=keep).close()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
