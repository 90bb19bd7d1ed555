"""Every metric: named by Prometheus' rules, there from the start, bounded in its labels."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from sttd.consumer.engine.model import contexts
from sttd.consumer.side_port.labels import AUDIO_BUCKETS, OTHER, RERUNS, STAGE_BUCKETS, STAGES
from sttd.consumer.side_port.metrics import Lane, Metrics
from sttd.schemas.codes import DeadReason, ErrorCode
from sttd.schemas.reply import ModelInfo

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@dataclass
class Busy:
    """An engine at work, for code that only reads its counts."""

    busy: int = 2
    waiting: int = 5

    def waiting_of(self, lane: Lane) -> int:
        """Most are interactive."""
        return {"interactive": 4, "overflow": 0, "bulk": 1}[lane]


@pytest.fixture
def metrics() -> Metrics:
    """A registry of its own for each test."""
    return Metrics()


def value(metrics: Metrics, series_name: str, /, **labels: str) -> float | None:
    """One sample, or None where there is no such series."""
    return metrics.registry.get_sample_value(series_name, labels)


def series(metrics: Metrics) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every series on the page."""
    families = text_string_to_metric_families(  # type: ignore[no-untyped-call]  # the library types only its front
        metrics.render(OPEN_METRICS)[0].decode()
    )
    return {(sample.name, tuple(sorted(sample.labels.items()))) for family in families for sample in family.samples}


def use_everything(metrics: Metrics) -> None:
    """Call each observer method once, as the daemon does."""
    metrics.request_received("interactive")
    metrics.request_finished("completed", "ok")
    metrics.redeliveries.inc()
    metrics.observe_stage("decode", 0.2)
    metrics.observe_audio(12.5, no_speech=True)
    metrics.real_time_factor.observe(0.4)
    metrics.bad_packets.inc(3)
    metrics.in_flight.set(7)
    metrics.parked.inc()
    metrics.dead_lettered("poison")
    metrics.retried("model_error")
    metrics.connection("publish", up=True)
    metrics.connection_lost("consume")
    metrics.publish_blocked(blocked=True)
    metrics.consumer_registered.set(1)
    metrics.decoder_restarted("died")
    metrics.model_loaded(ModelInfo(name="base", engine="faster-whisper", device="cpu", compute_type="int8"), 1.5)
    metrics.engine(Busy(), dict, slots=3)
    metrics.batch_sizes.observe(2)
    metrics.answered("stt.requests", 2.5)
    metrics.queue_counted("stt.requests", 4)
    metrics.queue_counted("dead", 1)
    metrics.delivered("stt.requests", 1000.0)
    metrics.serving(lambda: True, 2**30)
    metrics.loop_lag.observe(0.003)


def test_each_method_moves_its_own_series(metrics: Metrics) -> None:
    """What an operator reads is what happened."""
    use_everything(metrics)

    assert value(metrics, "sttd_requests_received_total", lane="interactive") == 1
    assert value(metrics, "sttd_requests_finished_total", outcome="completed", code="ok") == 1
    assert value(metrics, "sttd_redeliveries_total") == 1
    assert value(metrics, "sttd_stage_duration_seconds_sum", stage="decode") == 0.2
    assert value(metrics, "sttd_audio_duration_seconds_sum") == 12.5
    assert value(metrics, "sttd_no_speech_total") == 1
    assert value(metrics, "sttd_real_time_factor_count") == 1
    assert value(metrics, "sttd_bad_packets_total") == 3
    assert value(metrics, "sttd_requests_in_flight") == 7
    assert value(metrics, "sttd_replies_parked_total") == 1
    assert value(metrics, "sttd_dead_letters_total", reason="poison") == 1
    assert value(metrics, "sttd_retries_total", code="model_error") == 1
    assert value(metrics, "sttd_connection_up", role="publish") == 1
    assert value(metrics, "sttd_connection_up", role="consume") == 0
    assert value(metrics, "sttd_connection_losses_total", role="consume") == 1
    assert value(metrics, "sttd_publish_blocked") == 1
    assert value(metrics, "sttd_consumer_registered") == 1
    assert value(metrics, "sttd_decoder_restarts_total", reason="died") == 1
    assert (
        value(metrics, "sttd_model_info", name="base", engine="faster-whisper", device="cpu", compute_type="int8") == 1
    )
    assert value(metrics, "sttd_model_load_seconds") == 1.5
    assert value(metrics, "sttd_engine_slots_busy") == 2
    assert value(metrics, "sttd_engine_jobs_waiting") == 5
    assert value(metrics, "sttd_engine_lane_waiting", lane="bulk") == 1
    assert value(metrics, "sttd_engine_slots") == 3
    assert value(metrics, "sttd_engine_batch_size_sum") == 2
    assert value(metrics, "sttd_answer_duration_seconds_sum", lane="interactive") == 2.5
    assert value(metrics, "sttd_queue_depth", queue="interactive") == 4
    assert value(metrics, "sttd_queue_depth", queue="dead") == 1
    assert (value(metrics, "sttd_queue_oldest_age_seconds", queue="interactive") or 0) > 1e9, (
        "since the last delivery's timestamp"
    )
    assert value(metrics, "sttd_ready") == 1
    assert value(metrics, "sttd_memory_bound_bytes") == 2**30
    assert value(metrics, "sttd_event_loop_lag_seconds_count") == 1


@pytest.mark.parametrize(
    ("queue", "lane"),
    [
        ("stt.requests", "interactive"),
        ("acme.voice", "interactive"),
        ("stt.requests.bulk", "bulk"),
        ("stt.requests.overflow", "overflow"),
        ("acme.voice.bulk", "bulk"),
        ("stt.suspect", "suspect"),
    ],
)
def test_a_queues_name_becomes_its_lane(metrics: Metrics, queue: str, lane: str) -> None:
    """Dashboards work whatever the operator calls the request queue."""
    metrics.request_received(queue)

    assert value(metrics, "sttd_requests_received_total", lane=lane) == 1


def test_engine_gauges_are_read_at_each_scrape(metrics: Metrics) -> None:
    """A freed slot needs no report."""
    engine, reruns = Busy(), dict[str, int]()
    metrics.engine(engine, lambda: reruns, slots=3)
    assert value(metrics, "sttd_engine_slots_busy") == 2

    engine.busy = 1
    reruns["late"] = 4

    assert value(metrics, "sttd_engine_slots_busy") == 1
    assert value(metrics, "sttd_context_reruns_total", reason="late") == 4


def test_every_reason_of_a_rerun_is_a_series() -> None:
    """A reason that the engine has and the metric lacks would be missing without an error."""
    assert get_args(contexts.Reason) == RERUNS


def test_every_name_begins_with_the_prefix_and_none_is_a_created_series(metrics: Metrics) -> None:
    """One prefix finds everything in Prometheus, process metrics included; `_created` would double the page."""
    use_everything(metrics)

    names = {name for name, _ in series(metrics)}

    assert all(name.startswith("sttd_") for name in names), names
    assert not any(name.endswith("_created") for name in names)
    assert "sttd_process_resident_memory_bytes" in names


@pytest.mark.parametrize("before", [lambda _: None, use_everything], ids=["at start", "in use"])
def test_promtool_finds_nothing_to_complain_about(metrics: Metrics, before: Callable[[Metrics], None]) -> None:
    """The names keep Prometheus' own rules, judged by Prometheus' own tool."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian package prometheus) is not installed")
    before(metrics)

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=metrics.render()[0], capture_output=True, timeout=120, check=False
    )

    assert (checked.returncode, checked.stderr.decode(), checked.stdout.decode()) == (0, "", "")


def test_known_series_exist_at_zero_from_the_start(metrics: Metrics) -> None:
    """`increase()` sees a first failure only if the series was there, at 0, before it."""
    for code in ErrorCode:
        assert value(metrics, "sttd_requests_finished_total", outcome="failed", code=str(code)) == 0
    for reason in DeadReason:
        assert value(metrics, "sttd_dead_letters_total", reason=str(reason)) == 0
    for stage in STAGES:
        assert value(metrics, "sttd_stage_duration_seconds_count", stage=stage) == 0
    assert value(metrics, "sttd_connection_up", role="consume") == 0


def test_ordinary_use_adds_only_the_model_to_the_series_there_at_start(metrics: Metrics) -> None:
    """A dashboard built on a fresh daemon is complete: nothing appears later but the model's name."""
    at_start = series(metrics)

    use_everything(metrics)

    assert {name for name, _ in series(metrics) - at_start} == {"sttd_model_info"}


def test_no_caller_can_add_more_than_one_series_to_a_label(metrics: Metrics) -> None:
    """Unbounded label values are how a metrics server dies; an unknown value is counted as `other`."""
    for i in range(1000):
        metrics.request_received(f"lane-{i}")
        metrics.request_finished(f"outcome-{i}", f"code-{i}")
        metrics.dead_lettered(f"reason-{i}")
        metrics.retried(f"code-{i}")
        metrics.observe_stage(f"stage-{i}", 1)
        metrics.connection(f"role-{i}", up=True)
        metrics.connection_lost(f"role-{i}")
        metrics.decoder_restarted(f"reason-{i}")

    strange = [sample for sample in series(metrics) if any(v == OTHER for _, v in sample[1])]

    assert value(metrics, "sttd_dead_letters_total", reason=OTHER) == 1000
    assert len(strange) == 6 + len(STAGE_BUCKETS) + 3  # six counters and gauges; one histogram with +Inf, count and sum
    assert not [sample for sample in series(metrics) if any(v.endswith("-1") for _, v in sample[1])]


def test_buckets_fit_from_a_twentieth_of_a_second_to_half_an_hour() -> None:
    """Quantiles of a short note and of an hour-long file are both readable."""
    assert (STAGE_BUCKETS[0], STAGE_BUCKETS[-1]) == (0.05, 1800)
    assert list(STAGE_BUCKETS) == sorted(STAGE_BUCKETS)
    assert AUDIO_BUCKETS[-1] == 3600


def test_a_clock_that_ran_backwards_does_not_spoil_a_histogram(metrics: Metrics) -> None:
    """`queued` is measured against another machine's clock; a negative time would make the sum fall."""
    metrics.observe_stage("queued", -5)

    assert value(metrics, "sttd_stage_duration_seconds_sum", stage="queued") == 0


def test_open_metrics_text_is_readable_by_the_strict_parser(metrics: Metrics) -> None:
    """Scrapers that negotiate OpenMetrics get a page that its own parser takes."""
    use_everything(metrics)

    assert series(metrics)


def test_the_table_in_the_docs_names_exactly_what_is_served(metrics: Metrics) -> None:
    """docs/metrics.md is generated from `described`: nothing may be missing from it or only be in it."""
    use_everything(metrics)
    served = {
        name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
        for name, _ in series(metrics)
        if not name.startswith("sttd_process_")
    }

    assert {row.name for row in metrics.described} == served


def test_two_observers_do_not_know_of_each_other() -> None:
    """No global registry: two daemons in one test process each count for themselves."""
    one, two = Metrics(), Metrics()

    one.redeliveries.inc()

    assert value(two, "sttd_redeliveries_total") == 0


def test_blocked_time_grows_while_the_blockage_lasts(metrics: Metrics) -> None:
    """A scrape in the middle of a long blockage must not see a counter that stands still."""
    metrics.publish_blocked(blocked=True)
    first = scraped(metrics, "sttd_publish_blocked_seconds_total")
    second = scraped(metrics, "sttd_publish_blocked_seconds_total")
    metrics.publish_blocked(blocked=False)
    ended = scraped(metrics, "sttd_publish_blocked_seconds_total")

    assert 0 < first < second < ended == scraped(metrics, "sttd_publish_blocked_seconds_total")


def test_failures_are_remembered_by_code_and_only_the_last_ones(metrics: Metrics) -> None:
    """The status page shows what went wrong lately; what went well, moved or was handed back is not among it."""
    metrics.request_finished("completed", "ok")
    metrics.request_finished("handed_back", "ok")
    metrics.request_finished("moved", "ok")
    assert list(metrics.failures) == []
    for _ in range(100):
        metrics.request_finished("failed", "audio_unreadable")
    metrics.request_finished("retried", "model_error")

    assert [(found.outcome, found.code) for found in metrics.failures][-2:] == [
        ("failed", "audio_unreadable"),
        ("retried", "model_error"),
    ]
    assert len(metrics.failures) == 50


def test_exemplars_name_the_trace_in_open_metrics_only() -> None:
    """A slow bucket leads to the trace of one slow request; the plain format has no place for it."""
    metrics = Metrics(lambda: {"trace_id": "0af7651916cd43dd8448eb211c80319c"})
    metrics.observe_stage("decode", 0.3)

    assert '# {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.3' in metrics.render(OPEN_METRICS)[0].decode()
    assert "trace_id" not in metrics.render()[0].decode()


def scraped(metrics: Metrics, name: str) -> float:
    """One sample of the page, as a scraper reads it."""
    return next(
        float(line.split()[1]) for line in metrics.render()[0].decode().splitlines() if line.startswith(f"{name} ")
    )
