"""The client's side of a request's trace: a PRODUCER span and W3C headers, where the bot has OpenTelemetry set up.

Uses opentelemetry's API if it is there; never configures it. Without it, or outside of any trace, nothing is added.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

try:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:  # most bots
    TRACED = False
else:
    TRACED = True


@contextmanager
def publishing(headers: MutableMapping[str, Any], queue: str) -> Iterator[None]:
    """Trace the block as the publishing of one request; `headers` are the request's and get its `traceparent`."""
    if not TRACED:
        yield
        return
    attributes = {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "send",
        "messaging.destination.name": queue,
    }
    tracer = trace.get_tracer("sttd.client")
    with tracer.start_as_current_span(f"{queue} send", kind=trace.SpanKind.PRODUCER, attributes=attributes):
        TraceContextTextMapPropagator().inject(headers)
        yield
