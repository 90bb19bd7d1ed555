"""The only module of the daemon that imports OpenTelemetry: our own tracer provider, spans, W3C headers.

The spans come from a request's timeline. Loaded only when tracing is on; uses none of OpenTelemetry's globals.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sttd.consumer.timeline import Timeline
from sttd.consumer.tracing.seam import Trace, Tracing
from sttd.schemas import names

INNER: Final = frozenset({"wait", "encode", "generate", "align", "detect_language"})
"""Steps of the engine: children of `transcribe`."""

CLOSE_SECONDS: Final = 3.0


class OtelTracing(Tracing):
    """Traces with a provider that is ours alone."""

    def __init__(self, provider: TracerProvider) -> None:
        """`provider`: with its exporter; `close` shuts it down."""
        self._provider = provider
        self._tracer = provider.get_tracer("sttd")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(
        self, headers: Mapping[str, Any], *, queue: str, received: float, queued: float | None, timeline: Timeline
    ) -> Iterator[Trace]:
        """See `Tracing.request`: a CONSUMER span, child of the publisher's, with a child for each step."""
        carrier = {name: value for name in names.TRACE_HEADERS if isinstance(value := headers.get(name), str)}
        parent = self._propagator.extract(carrier)
        began = wall_clock_ns(received)
        attributes: dict[str, str] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.destination.name": queue,
        }
        with self._tracer.start_as_current_span(
            f"{queue} process", context=parent, kind=SpanKind.CONSUMER, attributes=attributes, start_time=began
        ) as span:
            context = span.get_span_context()
            told = Trace(trace_id=trace.format_trace_id(context.trace_id))
            self._propagator.inject(told.headers)
            if queued is not None:
                self._step("queued", began - int(queued * 1e9), began)
            try:
                yield told
            finally:
                self._steps(timeline)
                span.set_attributes(told.attributes)
                if told.error is not None:
                    span.set_status(StatusCode.ERROR, told.error)

    def _steps(self, timeline: Timeline) -> None:
        steps = sorted(timeline.steps, key=lambda step: step.began)
        inner = [step for step in steps if step.name in INNER]
        outer = [step for step in steps if step.name not in INNER]
        around = next((step for step in outer if step.name == "transcribe"), None)
        for step in outer:
            span = self._step(step.name, wall_clock_ns(step.began), wall_clock_ns(step.ended), end=False)
            for part in inner if step is around else ():
                with trace.use_span(span, end_on_exit=False):
                    self._step(part.name, wall_clock_ns(part.began), wall_clock_ns(part.ended), together=part.together)
            span.end(wall_clock_ns(step.ended))
        for part in inner if around is None else ():  # stopped in the middle
            self._step(part.name, wall_clock_ns(part.began), wall_clock_ns(part.ended), together=part.together)

    def _step(self, name: str, began: int, ended: int, *, together: int = 1, end: bool = True) -> trace.Span:
        attributes = {"sttd.batch_size": together} if together > 1 else None
        span = self._tracer.start_span(name, start_time=began, attributes=attributes)
        if end:
            span.end(ended)
        return span

    def exemplar(self) -> dict[str, str] | None:
        """See `Tracing.exemplar`: only traces that were sampled can be looked up."""
        context = trace.get_current_span().get_span_context()
        if not (context.is_valid and context.trace_flags.sampled):
            return None
        return {"trace_id": trace.format_trace_id(context.trace_id)}

    async def close(self) -> None:
        """See `Tracing.close`. A collector that is gone must not hold up the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.to_thread(self._provider.shutdown)


def provider(exporter: SpanExporter, worker: str) -> TracerProvider:
    """A provider with one exporter.

    OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and OTEL_BSP_* count.
    """
    resource = Resource({"service.name": names.APP_ID, "service.instance.id": worker}).merge(
        OTELResourceDetector().detect()
    )
    made = TracerProvider(resource=resource, shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made


def exporter(name: str) -> SpanExporter:
    """What sends to a collector (`otlp`, over HTTP) or prints to standard error (`console`)."""
    if name == "console":
        import sys  # noqa: PLC0415 - the only use

        return ConsoleSpanExporter(out=sys.stderr)
    # Brings its own HTTP client, so it is loaded only here.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - see above

    return OTLPSpanExporter()


def wall_clock_ns(moment: float) -> int:
    """`time.monotonic` -> nanoseconds since the epoch."""
    return time.time_ns() - int((time.monotonic() - moment) * 1e9)
