"""`sttd check` against a real RabbitMQ with the bundled model: its lines, its exit code, and nothing left behind."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sttd.commands import extras, main
from sttd.commands.check import host as check_host
from sttd.commands.check.line import ok
from sttd.commands.exit_codes import Exit
from tests.support.broker import Broker

LOOKING = r"stt\.(control|operator)|stt\.dead|stt\.replies(\.dead)?"
SERVING = (
    "^$",
    rf"^(amq\.default|stt\.dlx|stt\.retry\..*|{LOOKING})$",
    r"^stt\.(requests(\.(overflow|bulk))?|suspect)$",
)
HOST = {"model", "decoder", "compute", "cores", "memory", "side port"}


@pytest.fixture(autouse=True)
def _our_broker(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> None:
    """This test's vhost, the bundled model, any free port."""
    for name, value in {"AMQP_URL": broker.amqp_url, "MODEL": "demo", "SIDE_PORT": "0", "SLOTS": "1"}.items():
        monkeypatch.setenv(f"STTD_{name}", value)


@pytest.fixture
def broker_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The part about this machine, which takes a second, is another test's."""

    async def nothing(_settings: object) -> object:
        yield ok("host", "not looked at")

    monkeypatch.setattr(check_host, "look", nothing)


def run() -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code and lines by name of `sttd check --json`."""
    result = CliRunner().invoke(main.build(), ["check", "--json"])
    return result.exit_code, {line["check"]: line for line in json.loads(result.stdout)}


def declare() -> None:
    """Make the queues."""
    assert CliRunner().invoke(main.build(), ["topology", "declare"]).exit_code == Exit.OK


def test_a_host_that_can_serve_says_so_and_nothing_is_left_on_the_broker(broker: Broker) -> None:
    """One line each; the demo model is a warning, because it is not for production."""
    result = CliRunner().invoke(main.build(), ["check"])
    assert result.exit_code == Exit.OK, result.stdout
    told = {
        line[9:26].strip(): line.split()[0] for line in result.stdout.splitlines() if not line.lstrip().startswith("->")
    }
    assert (
        told.keys()
        == {
            "settings",
            "broker",
            "version",
            "permissions",
            "cancels",
            "queues",
            "serving",
            "message size",
            "consumer timeout",
        }
        | HOST
    )
    assert told.pop("model") == told.pop("serving") == "warning"
    # RabbitMQ 4 takes messages of 16 MiB unless configured, the daemon bodies of 20 MiB.
    assert told.pop("message size") == ("ok" if broker.version < (4,) else "warning")
    assert set(told.values()) == {"ok"}
    assert broker.queues() == []


@pytest.mark.usefixtures("broker_only")
def test_messages_in_the_queues_are_neither_taken_nor_counted(broker: Broker) -> None:
    """It is run beside daemons at work: probing the right to read must not cost a message one of its deliveries."""
    declare()
    broker.publish("stt.requests", b"x")
    assert run()[1]["queues"]["detail"].endswith("all as they should be")
    [message] = broker.take("stt.requests", 2)
    assert (message.redelivered, message.headers.get("x-delivery-count", 0)) == (False, 0)
    assert broker.depth("stt.dead") == 0


@pytest.mark.usefixtures("broker_only")
def test_each_missing_permission_is_named(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regular expressions of permissions are where set-ups go wrong."""
    declare()
    url = broker.add_user(f"u-{broker.vhost}", "p", configure="^$", write=r"^amq\.default$", read="^stt.requests$")
    monkeypatch.setenv("STTD_AMQP_URL", url)
    code, lines = run()
    assert code == Exit.BROKER
    told = lines["permissions"]
    assert told["status"] == "failed"
    for part in ("configure stt.dead", "write to stt.dlx", "write to stt.retry.600s", "read from stt.requests.bulk"):
        assert part in told["detail"]
    for part in ("amq.default", "read from stt.requests,"):
        assert part not in told["detail"]
    assert "set_permissions" in told["next"]


@pytest.mark.usefixtures("broker_only")
def test_a_user_who_may_only_serve_is_enough_where_the_daemon_only_looks(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STTD_TOPOLOGY=check is for users without configure permission; cancels are a courtesy that they may lack."""
    declare()
    configure, write, read = SERVING
    url = broker.add_user(f"u-{broker.vhost}", "p", configure=configure, write=write, read=read)
    monkeypatch.setenv("STTD_AMQP_URL", url)
    monkeypatch.setenv("STTD_TOPOLOGY", "check")
    code, lines = run()
    assert code == Exit.OK
    assert lines["permissions"]["status"] == "ok"
    assert "not checked (no configure permission)" in lines["queues"]["detail"]
    assert lines["cancels"]["status"] == "warning"


@pytest.mark.usefixtures("broker_only")
def test_what_the_user_may_not_look_at_keeps_nobody_from_serving(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ 4.2.6 and later hide what a user has no permission on; it may be there all the same."""
    declare()
    configure, write, read = SERVING
    url = broker.add_user(
        f"u-{broker.vhost}", "p", configure=configure, write=write.replace(f"|{LOOKING}", ""), read=read
    )
    monkeypatch.setenv("STTD_AMQP_URL", url)
    monkeypatch.setenv("STTD_TOPOLOGY", "check")
    code, lines = run()
    assert code == Exit.OK
    assert ("may not look at" in lines["queues"]["detail"]) is not broker.looks_are_free


@pytest.mark.usefixtures("broker_only")
def test_queues_that_the_daemon_would_refuse_end_with_4(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing ones matter only to a daemon that may not create them; different ones to every daemon."""
    monkeypatch.setenv("STTD_TOPOLOGY", "check")
    code, lines = run()
    assert (code, lines["queues"]["status"]) == (Exit.TOPOLOGY, "failed")
    assert "stt.requests" in lines["queues"]["detail"]
    monkeypatch.setenv("STTD_TOPOLOGY", "declare")
    broker.declare("stt.dead", x_queue_type="quorum", x_message_ttl=5)
    code, lines = run()
    assert code == Exit.TOPOLOGY
    assert "queue stt.dead: x-m" in lines["queues"]["detail"]


@pytest.mark.usefixtures("broker_only")
@pytest.mark.parametrize("wrong", ["password", "vhost", "port"])
def test_a_broker_that_cannot_be_reached_ends_with_3(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int, wrong: str
) -> None:
    """Each of the three has a sentence of its own; the rest is looked at all the same."""
    url, said = {
        "password": (broker.url_for(broker.user, "s3cret"), "the user or the password"),
        "vhost": (broker.amqp_url.rpartition("/")[0] + "/nowhere", "the vhost"),
        "port": (f"amqp://u:s3cret@127.0.0.1:{unused_tcp_port}/", "is it running"),
    }[wrong]
    monkeypatch.setenv("STTD_AMQP_URL", url)
    code, lines = run()
    assert code == Exit.BROKER
    assert said in lines["broker"]["detail"]
    assert lines["broker"]["next"]
    assert lines.keys() == {"settings", "broker", "host"}
    assert "s3cret" not in str(lines)


def test_what_this_host_lacks_ends_with_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every failure is shown, not only the first, and each with its next step."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        for name, value in {
            "MODEL": str(tmp_path),
            "DEVICE": "cpu",
            "COMPUTE_TYPE": "float16",
            "SIDE_PORT": str(stranger.getsockname()[1]),
            "DECODE_SECONDS": "0.0001",
        }.items():
            monkeypatch.setenv(f"STTD_{name}", value)
        code, lines = run()
    assert code == Exit.FAILED
    assert {name for name, line in lines.items() if line["status"] == "failed"} == {
        "model",
        "decoder",
        "compute",
        "side port",
    }
    assert all(line["next"] for line in lines.values() if line["status"] != "ok")


@pytest.mark.usefixtures("broker_only")
def test_without_the_daemons_libraries_the_broker_is_still_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install can check a broker; that it cannot serve is one line."""
    monkeypatch.setattr(extras, "CONSUMER", ("a_library_that_is_not_there",))
    code, lines = run()
    assert code == Exit.FAILED
    assert lines["version"]["status"] == "ok"
    assert lines["libraries"]["next"] == extras.INSTALL["consumer"]


def test_a_wrong_setting_ends_with_2_before_anything_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to compare with."""
    monkeypatch.setenv("STTD_SLOTS", "many")
    result = CliRunner().invoke(main.build(), ["check"])
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "STTD_SLOTS" in result.stderr
