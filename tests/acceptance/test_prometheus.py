"""A real Prometheus watches the daemon during a run: every metric arrives, is true, and fills the dashboard."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sttd.consumer.side_port.metrics import Metrics
from tests.support import prometheus, second_engine
from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.grafana import queries
from tests.support.notes import note, short_notes
from tests.support.prometheus import Prometheus
from tests.support.promql import PROCESS
from tests.support.rpc import Rpc

pytestmark = [
    pytest.mark.slow("provokes every metric"),
    pytest.mark.skipif(
        prometheus.binary() is None and not os.environ.get("CI"),
        reason="prometheus (Debian package prometheus) is not installed",
    ),
]

WINDOW = "1m"
ASKED_FOR = {"SttdDeadLetters", "SttdRepliesUnroutable"}


@dataclass
class Run:
    """One load run, all of whose notes are answered, and the Prometheus that watched it.

    `began`: before the daemon, epoch seconds.
    """

    began: float
    prometheus: Prometheus
    daemon: DaemonProcess
    audio_seconds: float
    bad_packets: int
    sent: dict[str, int]


def one_of_each(client: Rpc, sent: dict[str, int]) -> None:
    """Good notes on both lanes, a silent, a damaged and a forbidden one, one whose reply queue is gone."""
    now = int(time.time())
    for number in range(12):
        sample = short_notes()[number % len(short_notes())]
        client.send(
            sample.path.read_bytes(),
            correlation_id=f"n{number}",
            headers={"stt-language": sample.language},
            timestamp=now,
        )
    for number in range(3):
        sample = short_notes()[number]
        client.send(sample.path.read_bytes(), correlation_id=f"b{number}", queue="stt.requests.bulk", timestamp=now)
    client.send(note(expect="no_speech").path.read_bytes(), correlation_id="silent")
    client.send(note(expect="audio_unreadable").path.read_bytes(), correlation_id="damaged")
    client.send(short_notes()[0].path.read_bytes(), correlation_id="nowhere", reply_to="nowhere")
    client.send(short_notes()[0].path.read_bytes(), correlation_id="forbidden", reply_to="stt.dead")
    sent.update(interactive=16, bulk=3, answers=17)


@pytest.fixture(scope="module")
def run(node: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The run, made once; its tests read only."""
    folder = tmp_path_factory.mktemp("prometheus")
    with Broker(node) as broker, Prometheus(folder / "server") as server, Rpc(broker.amqp_url) as client:
        began = time.time()
        daemon = DaemonProcess(broker.amqp_url, folder / "daemon.log", slots="2").start()
        try:
            server.targets([daemon.wait_ready().url("")])
            server.wait(lambda: server.value("sttd_ready"), "first scrape")
            found = Run(began, server, daemon, 0, 0, {})
            one_of_each(client, found.sent)
            for answer in client.collect(found.sent["answers"]):
                body = answer.body
                found.audio_seconds += body.get("duration") or 0
                found.bad_packets += (body.get("audio") or {}).get("bad_packets", 0)
            _settle(server, found)
            yield found
        finally:
            daemon.close()


def _settle(server: Prometheus, found: Run) -> None:
    """Wait until Prometheus has seen the end of it, what it should raise, and a little of the quiet after it."""
    total = sum(found.sent[lane] for lane in ("interactive", "bulk"))
    server.wait(lambda: server.value("sum(sttd_requests_finished_total)") == total, "end of the run in Prometheus")
    server.wait(lambda: server.firing() >= ASKED_FOR, "alerts")
    scrapes = server.value("count_over_time(sttd_ready[1h])") or 0
    server.wait(lambda: (server.value("count_over_time(sttd_ready[1h])") or 0) >= scrapes + 5, "scrapes after the run")


def test_every_metric_of_the_table_is_there(run: Run) -> None:
    """What docs/metrics.md lists is what a Prometheus has."""
    names = run.prometheus.names()
    wanted = {f"{row.name}_count" if row.kind == "histogram" else row.name for row in Metrics().described} | PROCESS

    assert wanted <= names


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ('sttd_requests_received_total{lane="interactive"}', 16),
        ('sttd_requests_received_total{lane="bulk"}', 3),
        ('sttd_requests_finished_total{outcome="completed", code="ok"}', 17),
        ('sttd_requests_finished_total{outcome="failed", code="audio_unreadable"}', 1),
        ('sttd_requests_finished_total{outcome="dead_lettered", code="bad_reply_to"}', 1),
        ("sum(sttd_requests_finished_total)", 19),
        ('sttd_dead_letters_total{reason="bad_reply_to"}', 1),
        ("sum(sttd_dead_letters_total)", 1),
        ("sttd_replies_parked_total", 1),
        ("sttd_no_speech_total", 1),
        ("sttd_audio_duration_seconds_count", 17),
        ('sttd_stage_duration_seconds_count{stage="total"}', 19),
        ('sttd_stage_duration_seconds_count{stage="reply"}', 19),
        ('sttd_stage_duration_seconds_count{stage="queued"}', 15),
        ('sttd_stage_duration_seconds_count{stage="transcribe"}', 17),
        ('sttd_stage_duration_seconds_count{stage="encode"}', 16),
        pytest.param(
            'sttd_stage_duration_seconds_count{stage="generate"}', 16, marks=second_engine.left_out(second_engine.CALLS)
        ),
        ('sttd_answer_duration_seconds_count{lane="interactive"}', 15),
        ('sttd_answer_duration_seconds_count{lane="bulk"}', 3),
        ("sttd_real_time_factor_count", 17),
        ("sttd_requests_in_flight", 0),
        ("sttd_engine_slots", 2),
        ("sttd_engine_slots_busy", 0),
        ("sttd_engine_jobs_waiting", 0),
        ("sum(sttd_redeliveries_total)", 0),
        ("sum(sttd_retries_total)", 0),
        ("sum(sttd_connection_up)", 3),
        ("sum(sttd_connection_losses_total)", 0),
        ("sttd_consumer_registered", 1),
        ("sttd_publish_blocked", 0),
        ("sttd_publish_blocked_seconds_total", 0),
        ('sttd_queue_depth{queue="interactive"}', 0),
        ('sttd_queue_depth{queue="dead"}', 1),
        ('sttd_queue_depth{queue="replies_dead"}', 1),
        ('sttd_queue_oldest_age_seconds{queue="interactive"}', 0),
        ("sttd_ready", 1),
        ('sttd_model_info{device="cpu"}', 1),
        ("count(sttd_build_info)", 1),
        ("sum(sttd_decoder_restarts_total)", 0),
        pytest.param(
            "sttd_engine_batch_size_sum / sttd_engine_batch_size_count",
            1,
            marks=second_engine.left_out(second_engine.CALLS),
        ),
    ],
)
def test_numbers_are_those_of_the_runs_books(run: Run, expression: str, wanted: float) -> None:
    """What was sent and what came back is what Prometheus counted."""
    assert run.prometheus.value(expression) == wanted


def test_sums_agree_with_the_answers_and_with_each_other(run: Run) -> None:
    """Seconds of audio are those of the replies; parts of the work are no longer than the whole."""
    seconds = {
        str(found["metric"]["stage"]): float(found["value"][1])
        for found in run.prometheus.query("sttd_stage_duration_seconds_sum")
    }
    told = run.prometheus.value("sttd_audio_duration_seconds_sum") or 0

    # The note whose reply queue is gone was transcribed too, and its answer was not delivered.
    assert run.audio_seconds < told < run.audio_seconds + 60
    assert run.prometheus.value("sttd_bad_packets_total") == run.bad_packets
    assert 0 < seconds["encode"] + seconds["generate"] <= seconds["transcribe"] < seconds["total"]
    assert seconds["wait"] + seconds["encode"] + seconds["generate"] <= seconds["transcribe"] * 1.01


def test_gauges_of_the_process_are_those_of_the_kernel(run: Run) -> None:
    """Memory and start time are of the process that was started here.

    Memory is no more than the kernel's maximum, the start not before the test's.
    """
    held = run.prometheus.value("sttd_process_resident_memory_bytes") or 0
    peak = int(Path(f"/proc/{run.daemon.running.pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    started = run.prometheus.value("sttd_process_start_time_seconds") or 0

    assert 0 < held <= peak
    assert (run.prometheus.value("sttd_memory_bound_bytes") or 0) > 0
    assert started > run.began - 2  # the kernel counts hundredths, from a boot in seconds
    assert (run.prometheus.value("sttd_model_load_seconds") or 0) > 0
    assert (run.prometheus.value("sttd_event_loop_lag_seconds_count") or 0) > 0


def test_no_panel_of_the_dashboard_is_empty(run: Run) -> None:
    """Grafana cannot be installed everywhere; what it asks Prometheus can be asked without it."""
    assert [query for query in queries() if not run.prometheus.query(query.filled(WINDOW))] == []


def test_nothing_fires_in_a_run_without_faults_but_what_it_asked_for(run: Run) -> None:
    """The dead letter and the parked answer of this run are what their alerts are about; nothing else is wrong."""
    assert run.prometheus.firing() == ASKED_FOR
