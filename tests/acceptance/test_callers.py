"""One caller floods the queue, another sends a few notes: real broker, real daemon (issue 18).

And the queue that the flood moves to: who sees it, and what becomes of a daemon that may not read it.

How long the other waits meanwhile: `python -m bench scenario callers`.
"""

import json
from pathlib import Path
from typing import Any

import pika
import pytest
from typer.testing import CliRunner

from sttd.commands import main
from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.gateway import GatewayProcess
from tests.support.notes import short_notes
from tests.support.rpc import Rpc
from tests.support.waiting import wait_for
from tools import callers

FLOOD = 60
FEW = 3
WAITING = 7
OVERFLOW = "stt.requests.overflow"

USERS = json.loads((Path(__file__).parents[2] / "deploy" / "rabbitmq" / "users.json").read_text())["users"]
OLD_DAEMON = {
    "configure": r"^stt\.control\.",
    "write": r"^(amq\.default|stt\.dlx|stt\.retry\..*|stt\.control\..*|stt\.dead|stt\.replies(\.dead)?)$",
    "read": r"^stt\.(requests(\.bulk)?|suspect|control(\..*)?)$",
}
"""`daemon-check` as it was before there were overflow and operator."""


@pytest.mark.slow("a flood through the model")
def test_beside_a_flood_another_caller_is_served_and_each_note_is_answered_once(
    start_daemon: Any, broker: Broker
) -> None:
    """The flood is queued first; without turns the others would be the last."""
    daemon: DaemonProcess = start_daemon(slots="1", prefetch="8").wait_ready()
    assert daemon.stop() == 0  # the queues are there
    notes = short_notes()
    with Rpc(broker.amqp_url) as client:
        for number in range(FLOOD + FEW):
            note, caller = notes[number % len(notes)], "many" if number < FLOOD else "few"
            headers = {"stt-language": note.language, "stt-caller": caller}
            client.send(note.path.read_bytes(), correlation_id=f"{caller}-{number}", headers=headers)
        client.flush()
        second: DaemonProcess = start_daemon(slots="1", prefetch="8").wait_ready()
        order = [answer.properties.correlation_id for answer in client.collect(FLOOD + FEW, 300)]
    assert len(set(order)) == FLOOD + FEW
    assert max(place for place, name in enumerate(order) if name.startswith("few")) < FLOOD / 2, order
    assert second.counted("sttd_requests_finished_total", outcome="moved", code="ok") > FLOOD / 2
    assert second.counted("sttd_requests_received_total", lane="overflow") > FLOOD / 2
    assert broker.depth("stt.requests.overflow") == broker.depth("stt.dead") == 0


def test_what_waits_in_overflow_is_seen_wherever_people_and_scalers_look(
    start_daemon: Any, broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Metrics, status page, `sttd check`, the gateway's limit, and KEDA's passive declare."""
    daemon: DaemonProcess = start_daemon(slots="1").wait_ready()
    for name, value in {"AMQP_URL": broker.amqp_url, "MODEL": "demo", "SIDE_PORT": "0"}.items():
        monkeypatch.setenv(f"STTD_{name}", value)
    assert CliRunner().invoke(main.build(), ["control", "pause"]).exit_code == 0
    for _ in range(WAITING):
        broker.publish(OVERFLOW, b"note", delivery_mode=2)
    wait_for(lambda: daemon.metric("sttd_queue_depth", queue="overflow") == WAITING, "a look at the queue")
    assert f"<b>{WAITING}</b><span>waiting in the queues" in daemon.get("/")[1]

    told = json.loads(CliRunner().invoke(main.build(), ["check", "--json"]).stdout)
    (serving,) = (line["detail"] for line in told if line["check"] == "serving")
    assert f"{WAITING} requests wait" in serving

    scaler = broker.add_user(f"{broker.user}-scaler", "p", **{key: USERS["scaler"][key] for key in OLD_DAEMON})
    with pika.BlockingConnection(pika.URLParameters(scaler)) as connection:
        assert connection.channel().queue_declare(OVERFLOW, passive=True).method.message_count == WAITING

    limit = {"gateway_max_queued": str(WAITING)}
    with (
        callers.occupied(broker.amqp_url, "stt.requests"),
        GatewayProcess(broker.amqp_url, tmp_path / "gateway", **limit) as gateway,
    ):
        gateway.wait_health(200)
        assert gateway.post("/transcribe", b"note").status_code == 429


@pytest.mark.parametrize("there", [True, False], ids=["it may not read it", "nobody declared it"])
def test_a_daemon_with_the_old_users_serves_without_overflow_and_loses_nothing(
    there: bool, start_daemon: Any, broker: Broker
) -> None:
    """The operator upgraded the daemon alone: one warning with the next step, and nothing moves to where it cannot."""
    environment = {"STTD_AMQP_URL": broker.amqp_url}
    assert CliRunner().invoke(main.build(), ["topology", "declare"], env=environment).exit_code == 0
    if not there:
        with broker.connect() as connection:
            connection.channel().queue_delete(OVERFLOW)
            connection.channel().exchange_delete("stt.operator")
    old = broker.add_user(f"{broker.user}-old", "old-secret", **OLD_DAEMON)
    daemon: DaemonProcess = start_daemon(amqp_url=old, topology="check", slots="1", prefetch="4").wait_ready()
    notes = short_notes()
    with Rpc(broker.amqp_url) as client:
        for number in range(FLOOD // 4):
            note = notes[number % len(notes)]
            headers = {"stt-language": note.language, "stt-caller": "many"}
            client.send(note.path.read_bytes(), correlation_id=str(number), headers=headers)
        answers = client.collect(FLOOD // 4)
    assert sorted(int(answer.properties.correlation_id) for answer in answers) == list(range(FLOOD // 4))
    assert {answer.body["status"] for answer in answers} == {"completed"}
    assert broker.depth("stt.dead") == broker.depth("stt.requests") == 0

    broker.close_connections()
    wait_for(lambda: len(daemon.lines("bus_connected")) > 4, "new connections")
    daemon.wait_ready()
    assert not daemon.lines("topology_hidden") + daemon.lines("control_refused")
    (warning,) = daemon.lines("served_without")
    assert (warning["level"], "stt.operator and stt.requests.overflow" in warning["event"]) == ("warning", True)
    assert "docs/operations.md" in warning["event"]
