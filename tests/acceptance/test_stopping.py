"""SIGTERM answers or hands back, SIGKILL loses nothing, and the exit code shows what happened."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sttd.consumer.bus.topology import build
from sttd.samples import samples
from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess, children
from tests.support.notes import GROCERIES, note, spoken
from tests.support.rpc import Rpc

StartDaemon = Callable[..., DaemonProcess]


def _long_note() -> bytes:
    """About 90 s of speech: several seconds of work, so that a signal finds it in hand."""
    return max(samples(), key=lambda sample: sample.path.stat().st_size).path.read_bytes()


async def _in_hand(broker: Broker, daemon: DaemonProcess, count: int) -> None:
    await wait_until(lambda: daemon.metric("sttd_requests_in_flight") >= count)
    assert broker.depth("stt.requests") == 0


async def test_sigterm_with_four_notes_in_hand_answers_or_hands_back_all_four(
    start_daemon: StartDaemon, broker: Broker
) -> None:
    """A rolling restart loses nothing and dead-letters nothing, and exits with code 0."""
    daemon = start_daemon(slots="2").wait_ready()
    with Rpc(broker.amqp_url) as client:
        for number in range(4):
            client.send(_long_note(), correlation_id=str(number))
        await _in_hand(broker, daemon, 4)

        assert daemon.stop() == 0

        finished = daemon.lines("drained")[0]["finished"]
        assert {answer.properties.correlation_id for answer in client.collect(finished)} <= {"0", "1", "2", "3"}
    assert finished + broker.depth("stt.requests") == 4
    assert broker.depth("stt.dead") == broker.depth("stt.replies.dead") == 0


@pytest.mark.slow("two daemons, one after the other")
async def test_sigterm_hands_back_what_the_grace_time_does_not_cover(start_daemon: StartDaemon, broker: Broker) -> None:
    """With no time left, running work goes back to the queue at once and the next start answers it."""
    first = start_daemon(slots="1", drain_seconds="0").wait_ready()
    broker.publish("stt.requests", _long_note(), correlation_id="long", message_id="long-1", delivery_mode=2)
    await _in_hand(broker, first, 1)

    assert first.stop() == 0

    assert first.lines("drained")[0]["handed_back"] == 1
    await wait_until(lambda: broker.depth("stt.requests") == 1)
    start_daemon().wait_ready()
    await wait_until(lambda: broker.depth("stt.replies") == 1)
    assert broker.depth("stt.dead") == 0


@pytest.mark.slow("several lives of a daemon")
async def test_after_sigkill_the_next_start_answers_everything(start_daemon: StartDaemon, broker: Broker) -> None:
    """A killed worker costs time, never a note; its decoder children end with it."""
    first = start_daemon(slots="2").wait_ready()
    offspring = list(children(first.running.pid))
    for number in range(4):
        broker.publish(
            "stt.requests", _long_note(), correlation_id=str(number), message_id=f"kill-{number}", delivery_mode=2
        )
    await _in_hand(broker, first, 4)

    first.kill()

    assert offspring
    await wait_until(lambda: not any(Path(f"/proc/{pid}/cwd").exists() for pid in offspring))
    await wait_until(lambda: broker.depth("stt.requests") + broker.depth("stt.replies") == 4)
    second = start_daemon(slots="2").wait_ready()
    await wait_until(lambda: broker.depth("stt.replies") == 4)
    ids = {message.properties.correlation_id for message in broker.take("stt.replies", 4)}
    assert ids == {"0", "1", "2", "3"}
    assert second.metric("sttd_redeliveries_total") >= 1
    assert broker.depth("stt.dead") == 0


async def test_a_second_signal_ends_the_process_at_once(start_daemon: StartDaemon, broker: Broker) -> None:
    """A second signal means no more waiting; the note is redelivered."""
    daemon = start_daemon(slots="1").wait_ready()
    broker.publish("stt.requests", _long_note(), message_id="twice", delivery_mode=2)
    await _in_hand(broker, daemon, 1)
    daemon.running.send_signal(signal.SIGTERM)
    daemon.wait_log("drain")

    daemon.running.send_signal(signal.SIGTERM)

    assert daemon.wait_exit() == 128 + signal.SIGTERM
    await wait_until(lambda: broker.depth("stt.requests") == 1)


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"amqp_url": "http://127.0.0.1/"}, 2, "STTD_AMQP_URL"),
        ({"slots": "many"}, 2, "STTD_SLOTS"),
        ({"model": "/nowhere/at/all"}, 3, "/nowhere/at/all"),
        ({"model": "gigantic"}, 2, "gigantic"),
    ],
    ids=["url of another kind", "slots", "model directory", "model size"],
)
def test_a_wrong_setting_is_named_in_one_line_with_its_exit_code(
    start_daemon: StartDaemon, settings: dict[str, str], code: int, words: str
) -> None:
    """An operator reads what to change, and a supervisor sees that a restart will not help."""
    daemon = start_daemon(**settings)

    assert daemon.wait_exit() == code
    assert words in daemon.log
    assert "Traceback" not in daemon.log


def test_a_queue_with_other_arguments_stops_the_start_and_is_named(start_daemon: StartDaemon, broker: Broker) -> None:
    """Never a reconnect loop against a queue that was declared differently."""
    arguments = {key.replace("-", "_"): value for key, value in build().queues[1].arguments.items()}
    broker.declare("stt.requests", **arguments | {"x_delivery_limit": 5})

    daemon = start_daemon()

    assert daemon.wait_exit() == 4
    [line] = daemon.lines("startup_error")
    assert "stt.requests" in line["event"]
    assert "x-delivery-limit" in line["event"]


def test_a_taken_side_port_stops_the_start(start_daemon: StartDaemon) -> None:
    """Two daemons on one host need two ports, and the second one logs that."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = start_daemon(side_port=str(taken.getsockname()[1]))

        assert daemon.wait_exit() == 5
    assert "STTD_SIDE_PORT" in daemon.log


async def test_a_daemon_that_starts_before_its_broker_waits_for_it(start_daemon: StartDaemon) -> None:
    """Start order does not matter: readiness shows what is missing, without the password."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    daemon = start_daemon(f"amqp://guest:hush-hush@127.0.0.1:{port}/")
    await wait_until(lambda: '"model":{"ok":true' in daemon.get("/readyz")[1].replace(" ", ""))

    status, body = daemon.get("/readyz")

    assert status == 503
    assert '"consumer"' in body
    assert "hush-hush" not in body + daemon.log
    assert daemon.get("/healthz")[0] == 200
    assert daemon.stop() == 0


def test_the_transcript_is_in_no_log(start_daemon: StartDaemon, broker: Broker) -> None:
    """No speech in logs, metrics and health."""
    daemon = start_daemon(log_level="debug").wait_ready()
    with Rpc(broker.amqp_url) as client:
        answer = client.ask(
            note(text=GROCERIES).path.read_bytes(),
            correlation_id="secret\nforged line",
            headers={"stt-hotwords": "Bulgakov"},
        )

    assert spoken(answer.body["text"]) == spoken(GROCERIES)
    assert daemon.stop() == 0
    for word in ("продукты", "половиной", "Bulgakov", "\nforged line"):
        assert word not in daemon.log
    assert daemon.lines("request_done")[0]["correlation_id"].startswith("secret")
