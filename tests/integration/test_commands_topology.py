"""`sttd topology` against a real RabbitMQ: what it creates, what it shows, and that a check changes nothing."""

import pytest
from typer.testing import CliRunner

from sttd.commands import main
from sttd.commands.exit_codes import Exit
from sttd.consumer.bus import topology
from tests.support.broker import Broker

PLAN = topology.build()
THINGS = len(PLAN.queues) + len(PLAN.exchanges)


@pytest.fixture(autouse=True)
def _our_broker(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> None:
    """The commands use this test's vhost."""
    monkeypatch.setenv("STTD_AMQP_URL", broker.amqp_url)


def run(*args: str) -> tuple[int, list[str], str]:
    """Exit code, lines of stdout, and stderr of `sttd topology args`."""
    result = CliRunner().invoke(main.build(), ["topology", *args], env={"COLUMNS": "300"})
    return result.exit_code, result.stdout.splitlines(), result.stderr


def test_declare_creates_what_is_missing_and_a_second_time_finds_it(broker: Broker) -> None:
    """An administrator runs it once; a daemon with STTD_TOPOLOGY=check then starts."""
    code, lines, _ = run("declare")
    assert (code, len(lines)) == (Exit.OK, THINGS)
    assert {line.split()[0] for line in lines} == {"created"}
    assert {queue["name"] for queue in broker.queues()} == {queue.name for queue in PLAN.queues}
    for queue in PLAN.queues:
        assert broker.queue(queue.name)["arguments"] == dict(queue.arguments)
    with broker.connect() as connection:  # bound, or dead letters would go nowhere
        connection.channel().basic_publish("stt.dlx", "stt.requests", b"x")
    assert broker.get("stt.dead")
    code, lines, _ = run("declare")
    assert (code, {line.split()[0] for line in lines}) == (Exit.OK, {"ok"})


def test_check_tells_what_is_missing_and_creates_nothing(broker: Broker) -> None:
    """It is run against production for information, not for changes."""
    code, lines, err = run("check")
    assert (code, {line.split()[0] for line in lines}) == (Exit.TOPOLOGY, {"missing"})
    assert len(lines) == THINGS
    assert "sttd topology declare" in err
    assert broker.queues() == []


@pytest.mark.parametrize("command", ["check", "declare"])
def test_a_queue_with_other_arguments_is_named_with_the_first_that_differs(broker: Broker, command: str) -> None:
    """So that no person has to compare tables of arguments; the queue itself stays as it is."""
    run("declare")
    with broker.connect() as connection:
        connection.channel().queue_delete("stt.dead")
    broker.declare("stt.dead", x_queue_type="quorum", x_message_ttl=1000)
    code, lines, err = run(command)
    assert code == Exit.TOPOLOGY
    [line] = [line for line in lines if not line.startswith("ok")]
    assert line.startswith("differs")
    assert "stt.dead" in line
    assert "x-m" in line
    assert "delete it" in err
    assert broker.queue("stt.dead")["arguments"] == {"x-queue-type": "quorum", "x-message-ttl": 1000}


def test_check_says_what_it_could_not_compare_without_configure_permission(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon's own user in production may not configure; existence is all that can be seen then."""
    run("declare")
    monkeypatch.setenv(
        "STTD_AMQP_URL", broker.add_user(f"reader-{broker.vhost}", "p", configure="^$", write="^stt", read="^$")
    )
    code, lines, err = run("check")
    assert (code, len(lines)) == (Exit.OK, THINGS)
    assert all(
        line.startswith("ok") and line.endswith("exists; arguments not checked (no configure permission)")
        for line in lines
    )
    assert "configure permission" in err
    code, lines, err = run("declare")
    assert (code, {line.split()[0] for line in lines}) == (Exit.TOPOLOGY, {"refused"})
    assert "docs/operations.md" in err


def test_check_says_what_this_user_may_not_look_at(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of it, so it is not well; and it is not missing either. RabbitMQ before 4.2.6 hides nothing."""
    run("declare")
    monkeypatch.setenv("STTD_AMQP_URL", broker.add_user(f"blind-{broker.vhost}", "p", configure="", write="", read=""))
    code, lines, err = run("check")
    if broker.looks_are_free:
        assert (code, {line.split()[0] for line in lines}) == (Exit.OK, {"ok"})
        return
    assert (code, {line.split()[0] for line in lines}) == (Exit.TOPOLOGY, {"hidden"})
    assert all("this user may not look at it" in line for line in lines)
    assert "a permission on it, such as write" in err


def test_the_names_in_the_settings_are_the_names_that_are_looked_for(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two daemons of one broker may have request queues of their own."""
    monkeypatch.setenv("STTD_REQUEST_QUEUE", "voice")
    assert run("declare")[0] == Exit.OK
    assert {"voice", "voice.bulk"} <= {queue["name"] for queue in broker.queues()}


def test_a_refused_login_ends_with_3_and_never_shows_the_password(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commonest mistake of all."""
    monkeypatch.setenv("STTD_AMQP_URL", broker.url_for(broker.user, "wr0ng-s3cret"))
    code, lines, err = run("check")
    assert (code, lines) == (Exit.BROKER, [])
    assert "refuses the user or the password" in err
    assert "wr0ng-s3cret" not in err
