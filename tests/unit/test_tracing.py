"""One trace from the publisher's span to the answer, judged with OpenTelemetry's own in-memory exporter."""

import asyncio
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id
from structlog.testing import capture_logs

from sttd import tracing as client_tracing
from sttd.consumer.engine.transcriber import Job, Transcription
from sttd.consumer.errors import ModelFailed, SettingsError
from sttd.consumer.side_port.metrics import Metrics
from sttd.consumer.timeline import MOST_STEPS, Timeline
from sttd.consumer.tracing import choice
from sttd.consumer.tracing.otel import OtelTracing, provider
from sttd.consumer.tracing.seam import Tracing
from sttd.schemas import names
from sttd.schemas.request import Properties
from tests.support.fakes import Desk, FakeTranscriber
from tests.support.memory_bus import MemoryBroker
from tests.support.waiting import PATIENCE

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


class Windowed(FakeTranscriber):
    """An engine of two windows, each encoded and generated after a wait."""

    async def transcribe(self, job: Job) -> Transcription:
        for _ in range(2):
            for step in ("encode", "generate"):
                await asyncio.to_thread(job.timeline.call(step, lambda: time.sleep(0.001)))
        return await super().transcribe(job)


class Traced:
    """A worker whose spans end in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = OtelTracing(self.provider)
        self.desk = Desk(MemoryBroker.with_topology(), transcriber=Windowed(), metrics=Metrics(self.tracing.exemplar))

    async def handle(self, **headers: Any) -> None:
        """Bring one request to its end; its publisher stamped it two seconds ago."""
        worker = self.desk.worker(self.tracing)
        properties = Properties(message_id="m-1", timestamp=datetime.now(UTC) - timedelta(seconds=2), headers=headers)
        self.desk.broker.send(names.REQUESTS, b"audio", properties)
        worker.accept(self.desk.broker.deliver())
        async with asyncio.timeout(PATIENCE):
            while worker._in_hand:
                await asyncio.wait(worker._in_hand)

    @property
    def spans(self) -> dict[str, list[ReadableSpan]]:
        found: dict[str, list[ReadableSpan]] = {}
        for span in self.exporter.get_finished_spans():
            found.setdefault(span.name, []).append(span)
        return found


@pytest.fixture
def traced() -> Iterator[Traced]:
    """One for each test."""
    found = Traced()
    yield found
    found.provider.shutdown()


def parent_of(span: ReadableSpan) -> str | None:
    """The span's parent, as W3C writes it."""
    return format_span_id(span.parent.span_id) if span.parent else None


def own_id(span: ReadableSpan) -> str:
    """The span's own id."""
    return format_span_id(span.context.span_id)


async def test_the_trace_of_the_publisher_goes_on_through_every_stage(traced: Traced) -> None:
    """Who published sees where the time went: queue, decode, each window's wait, encode and generate, reply."""
    await traced.handle(traceparent=PARENT)
    (request,) = traced.spans["stt.requests process"]
    (transcribe,) = traced.spans["transcribe"]

    assert {format_trace_id(span.context.trace_id) for spans in traced.spans.values() for span in spans} == {TRACE_ID}
    assert (parent_of(request), request.kind) == ("b7ad6b7169203331", SpanKind.CONSUMER)
    for stage in ("queued", "decode", "transcribe", "reply"):
        (span,) = traced.spans[stage]
        assert parent_of(span) == own_id(request)
    assert {step: len(traced.spans[step]) for step in ("wait", "encode", "generate")} == {
        "wait": 4,
        "encode": 2,
        "generate": 2,
    }
    assert {parent_of(span) for step in ("wait", "encode", "generate") for span in traced.spans[step]} == {
        own_id(transcribe)
    }


async def test_times_of_spans_are_those_of_the_work(traced: Traced) -> None:
    """Stages follow each other; the wait in the queue is before the delivery."""
    await traced.handle(traceparent=PARENT)
    (request,), (queued,), (decode,), (reply,) = (
        traced.spans[name] for name in ("stt.requests process", "queued", "decode", "reply")
    )
    now = time.time_ns()

    def moments(span: ReadableSpan) -> tuple[int, int]:
        assert span.start_time is not None
        assert span.end_time is not None
        return span.start_time, span.end_time

    (begun, ended), (waited_from, waited_to) = moments(request), moments(queued)
    assert 2e9 <= waited_to - waited_from < 4e9
    assert waited_to == begun
    assert moments(decode)[1] <= moments(reply)[0] + 1_000_000
    assert ended <= now
    assert now - begun < 5e9


async def test_answers_and_retries_carry_the_trace_on(traced: Traced) -> None:
    """The bot's span for the answer, and the next try on another worker, belong to the same trace."""
    await traced.handle(traceparent=PARENT, tracestate="vendor=1")
    answer = traced.desk.only(names.REPLIES)
    (request,) = traced.spans["stt.requests process"]
    assert answer.headers["traceparent"] == f"00-{TRACE_ID}-{own_id(request)}-01"
    assert answer.headers["tracestate"] == "vendor=1"

    traced.exporter.clear()
    traced.desk.transcriber.outcomes = [ModelFailed("the model raised")]
    await traced.handle(traceparent=PARENT)
    retry = traced.desk.only("stt.retry.10s")
    (request,) = traced.spans["stt.requests process"]
    assert retry.headers["traceparent"] == f"00-{TRACE_ID}-{own_id(request)}-01"
    assert (request.status.status_code, request.status.description) == (StatusCode.ERROR, "model_error")
    assert (request.attributes or {})["sttd.outcome"] == "retried"


async def test_log_lines_and_histograms_name_the_trace(traced: Traced) -> None:
    """From a line, or from a slow bucket, one gets to the trace; the metrics' labels stay bounded."""
    with capture_logs() as logs:
        await traced.handle(traceparent=PARENT)
    page = traced.desk.metrics.render("application/openmetrics-text; version=1.0.0")[0].decode()

    assert [
        line
        for line in page.splitlines()
        if line.startswith("sttd_answer_duration_seconds_bucket") and TRACE_ID in line
    ]
    assert any(line.get("action") == "request_done" for line in logs)
    assert TRACE_ID not in traced.desk.metrics.render()[0].decode()


async def test_spans_hold_no_word_of_the_note_and_no_id_of_the_caller(traced: Traced) -> None:
    """Traces leave the host: the same rule as for logs."""
    await traced.handle(traceparent=PARENT)
    everything = " ".join(span.to_json() for spans in traced.spans.values() for span in spans)

    assert "привет" not in everything
    assert "m-1" not in everything


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "nonsense"},
        {"traceparent": b"\xff"},
        {"traceparent": 7},
        {"traceparent": f"00-{'0' * 32}-{'0' * 16}-01"},
        {"tracestate": "x" * 10_000},
    ],
    ids=["none", "nonsense", "no text", "a number", "zeros", "endless"],
)
async def test_a_request_without_a_trace_begins_one(traced: Traced, headers: dict[str, Any]) -> None:
    """Anybody can write these headers: an invalid one makes a new trace, never a failure."""
    await traced.handle(**headers)
    (request,) = traced.spans["stt.requests process"]

    assert request.parent is None
    assert traced.desk.only(names.REPLIES).headers["traceparent"].split("-")[1] != TRACE_ID


async def test_without_tracing_the_callers_context_is_passed_on_as_it_came() -> None:
    """A daemon that does not trace does not cut the trace of those who do; what is no trace context is dropped."""
    desk = Desk(MemoryBroker.with_topology(), transcriber=FakeTranscriber(ModelFailed("the model raised")))
    for parent, state in ((PARENT, "vendor=1"), ("nonsense", "vendor=1"), (PARENT, "\n")):
        desk.broker.send(
            names.REQUESTS, b"audio", Properties(headers={"traceparent": parent, "tracestate": state, "CC": ["x"]})
        )
        await desk.handle()
    first, second, third = (stored.headers for stored in desk.broker.queues["stt.retry.10s"].ready)

    assert (first["traceparent"], first["tracestate"]) == (PARENT, "vendor=1")
    assert not {"traceparent", "tracestate"} & set(second)
    assert third["traceparent"] == PARENT
    assert "tracestate" not in third


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "stt"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, None),
    ],
    ids=repr,
)
def test_the_standard_environment_decides(environment: dict[str, str], exporter: str | None) -> None:
    """Off by default, by OpenTelemetry's usual variables."""
    assert choice.wanted(environment) == exporter


def test_an_exporter_that_nobody_has_is_a_wrong_setting() -> None:
    """An error, not silence: the operator asked for traces."""
    with pytest.raises(SettingsError, match="OTEL_TRACES_EXPORTER=zipkin: must be otlp, console or none"):
        choice.wanted({"OTEL_TRACES_EXPORTER": "zipkin"})


def test_asked_for_but_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next step is in the message."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setitem(sys.modules, "sttd.consumer.tracing.otel", None)
    monkeypatch.delattr("sttd.consumer.tracing.otel")

    with pytest.raises(SettingsError, match=r"pip install .\.\[otel\]"):
        choice.from_environment("worker")


def test_what_opentelemetry_refuses_of_its_environment_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a traceback and exit code 1, which is tried again for ever."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1000000")  # more than its queue holds
    with pytest.raises(SettingsError, match=r"OTEL_\*\): "):
        choice.from_environment("worker")


async def test_a_collector_that_is_gone_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The drain's time is for notes."""
    monkeypatch.setattr("sttd.consumer.tracing.otel.CLOSE_SECONDS", 0.05)
    made = provider(InMemorySpanExporter(), "worker-1")
    hang = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(made, "shutdown", lambda: asyncio.run_coroutine_threadsafe(hang.wait(), loop).result())

    await asyncio.wait_for(OtelTracing(made).close(), PATIENCE)
    hang.set()


def test_the_service_is_named_by_the_environment_or_by_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sttd` by default; the worker's name separates processes."""
    ours = provider(InMemorySpanExporter(), "worker-1").resource.attributes
    monkeypatch.setenv("OTEL_SERVICE_NAME", "voice")
    theirs = provider(InMemorySpanExporter(), "worker-1").resource.attributes

    assert (ours["service.name"], ours["service.instance.id"]) == ("sttd", "worker-1")
    assert theirs["service.name"] == "voice"


async def test_the_one_that_traces_nothing_does_nothing() -> None:
    """What most daemons have."""
    nothing = Tracing()
    with nothing.request({}, queue="stt.requests", received=0, queued=None, timeline=Timeline()) as trace:
        assert (trace.headers, trace.trace_id, nothing.exemplar()) == ({}, None, None)
    await nothing.close()


def test_the_client_does_nothing_outside_of_any_trace() -> None:
    """OpenTelemetry installed but not set up adds no header."""
    headers: dict[str, Any] = {}
    with client_tracing.publishing(headers, "stt.requests"):
        assert headers == {}


def test_the_client_works_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra of the daemon's; optional for a bot."""
    monkeypatch.setattr(client_tracing, "TRACED", False)
    headers: dict[str, Any] = {}
    with client_tracing.publishing(headers, "stt.requests"):
        assert headers == {}


def test_a_timeline_keeps_sums_when_it_keeps_no_more_steps() -> None:
    """An hour of audio has thousands of calls; memory stays bounded, sums stay right."""
    timeline = Timeline()
    for number in range(3 * MOST_STEPS):
        timeline.add("encode", number, number + 0.5)

    assert len(timeline.steps) == MOST_STEPS
    assert timeline.seconds("encode") == 1.5 * MOST_STEPS
    assert timeline.seconds("generate") == 0
