"""Readiness is true: not ready before the self-test and the consumer, and again when the broker is gone."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import second_engine
from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note, spoken
from tests.support.rpc import Rpc
from tools.rabbitmq import Node


@pytest.fixture
def daemon_on_own_node(own_broker: Broker, tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon on a broker that the test may kill."""
    daemon = DaemonProcess(own_broker.amqp_url, tmp_path / "daemon.log")
    yield daemon.start()
    daemon.close()


@pytest.mark.slow("a broker that goes away")
async def test_readiness_follows_model_consumer_and_broker(
    daemon_on_own_node: DaemonProcess, own_node: Node, own_broker: Broker
) -> None:
    """An orchestrator never sends people to a worker that cannot answer."""
    daemon = daemon_on_own_node
    status, body = daemon.get("/readyz")
    checks = json.loads(body)["checks"]
    assert status == 503
    assert {name for name, check in checks.items() if not check["ok"]} >= {"model", "consumer"}
    assert all(check["reason"] for check in checks.values() if not check["ok"])
    assert daemon.get("/health")[0] == 503
    daemon.wait_ready()
    assert own_broker.consumers("stt.requests") == 1
    assert json.loads(daemon.get("/health")[1]) == {"status": "ok", "model": second_engine.health_model()}

    own_node.kill()

    daemon.wait_not_ready()
    assert "consumer" in daemon.get("/readyz")[1]
    assert daemon.get("/healthz")[0] == 200
    own_node.start()
    daemon.wait_ready()
    assert len(daemon.lines("ready")) == 2
    await wait_until(lambda: own_broker.consumers("stt.requests") == 1)
    with Rpc(own_broker.amqp_url) as client:
        assert spoken(client.ask(note(text=GROCERIES).path.read_bytes()).body["text"]) == spoken(GROCERIES)


def test_the_log_says_once_that_it_is_ready_and_what_it_serves(daemon: DaemonProcess) -> None:
    """The last line of a start has the queue, the model, how many notes go at a time, and where to look."""
    [line] = daemon.lines("ready")
    assert all(part in line["event"] for part in ("stt.requests", second_engine.model(), "at a time", daemon.url("")))


def test_metrics_count_what_was_sent_and_pass_promtool(daemon: DaemonProcess, broker: Broker) -> None:
    """What Prometheus scrapes is well-formed and true."""
    with Rpc(broker.amqp_url) as client:
        for _ in range(3):
            client.send(note(text=GROCERIES).path.read_bytes(), timestamp=1_700_000_000)
        client.send(note(expect="no_speech").path.read_bytes())
        client.send(b"not audio at all, only words" * 10)
        client.collect(5)

    assert daemon.counted("sttd_requests_received_total", lane="interactive") == 5
    assert daemon.counted("sttd_requests_finished_total", outcome="completed", code="ok") == 4
    assert daemon.counted("sttd_requests_finished_total", outcome="failed", code="unsupported_media") == 1
    assert daemon.counted("sttd_stage_duration_seconds_count", stage="queued") == 3
    assert daemon.counted("sttd_stage_duration_seconds_count", stage="transcribe") == 4
    assert daemon.counted("sttd_no_speech_total") == 1
    assert daemon.metric("sttd_requests_in_flight") == 0
    assert daemon.metric("sttd_consumer_registered") == 1
    assert daemon.metric("sttd_model_info", name=second_engine.model(), device="cpu") == 1
    promtool = shutil.which("promtool")
    if not promtool and not os.environ.get("CI"):
        pytest.skip("promtool is missing here; it comes with Debian's package prometheus")
    assert promtool
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=daemon.get("/metrics")[1].encode(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
