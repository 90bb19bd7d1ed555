"""A bot, a real broker, a real daemon and an OTLP collector over HTTP: one trace through all of them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sttd import Client
from tests.support import second_engine
from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess
from tests.support.notes import short_notes


class Collector:
    """Takes what OTLP exporters post; `spans` are (service, span)."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        self.paths: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    import gzip  # noqa: PLC0415 - the only use

                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(
                pair.value.string_value for pair in resource.resource.attributes if pair.key == "service.name"
            )
            self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One for the test."""
    found = Collector()
    yield found
    found.close()


async def test_one_trace_from_the_bot_to_the_answer(
    start_daemon: Any, broker: Broker, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot's own span is the root; the daemon's spans, sent by OTLP, are below it; its log names the trace."""
    exporter = InMemorySpanExporter()
    bot = TracerProvider(shutdown_on_exit=False)
    bot.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(
        "sttd.tracing.trace.get_tracer", bot.get_tracer
    )  # the global provider can be set only once a process
    daemon: DaemonProcess = start_daemon(
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="200"
    ).wait_ready()

    async with Client(broker.amqp_url) as client:
        with bot.get_tracer("bot").start_as_current_span("voice note") as root:
            sample = short_notes()[0]
            await client.transcribe(sample.path, language=sample.language)
    await wait_until(lambda: any(span.name == "stt.requests process" for _, span in collector.spans))

    trace_id = root.get_span_context().trace_id
    send = next(span for span in exporter.get_finished_spans() if span.name == "stt.requests send")
    ours = {span.name: span for _, span in collector.spans}
    assert {int.from_bytes(span.trace_id, "big") for _, span in collector.spans} == {trace_id}
    assert int.from_bytes(ours["stt.requests process"].parent_span_id, "big") == send.context.span_id
    calls = {"encode"} if second_engine.chosen() else {"encode", "generate"}
    assert {"queued", "decode", "transcribe", "wait", "reply"} | calls <= set(ours)
    assert ({service for service, _ in collector.spans}, collector.paths) == ({"sttd"}, {"/v1/traces"})
    assert daemon.wait_log("request_done")["trace_id"] == trace.format_trace_id(trace_id)
    assert daemon.stop() == 0
    bot.shutdown()


@pytest.mark.slow("waits for a collector")
def test_a_collector_that_is_not_there_costs_nothing(start_daemon: Any, broker: Broker) -> None:
    """Tracing is optional: notes are answered and the daemon ends in time without a collector."""
    from tests.support.rpc import Rpc  # noqa: PLC0415 - the only use

    daemon: DaemonProcess = start_daemon(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_BSP_SCHEDULE_DELAY="100"
    ).wait_ready()
    with Rpc(broker.amqp_url) as client:
        answer = client.ask(short_notes()[0].path.read_bytes())

    assert answer.body["status"] == "completed"
    assert daemon.stop() == 0


def test_a_wrong_exporter_is_told_before_anything_starts(start_daemon: Any) -> None:
    """Exit code 2, like every wrong setting, and the next step in the log."""
    daemon: DaemonProcess = start_daemon(OTEL_TRACES_EXPORTER="zipkin")

    assert daemon.wait_exit() == 2
    assert "OTEL_TRACES_EXPORTER=zipkin" in daemon.log
