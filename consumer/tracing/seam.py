"""The seam to tracing: what the daemon needs of it, and the one that traces nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sttd.consumer.timeline import Timeline


@dataclass(slots=True)
class Trace:
    """The trace of one request. `headers`: for messages about the request. `error`: how it ended, if not well."""

    headers: dict[str, str] = field(default_factory=dict)
    trace_id: str | None = None
    attributes: dict[str, str | int | float] = field(default_factory=dict)
    error: str | None = None


class Tracing:
    """Traces nothing; the default."""

    @contextmanager
    def request(
        self,
        headers: Mapping[str, Any],  # noqa: ARG002 - for implementations that trace
        *,
        queue: str,  # noqa: ARG002 - the same
        received: float,  # noqa: ARG002 - the same
        queued: float | None,  # noqa: ARG002 - the same
        timeline: Timeline,  # noqa: ARG002 - the same
    ) -> Iterator[Trace]:
        """Trace the block as the handling of one request.

        `headers`: the request's; `received`: `time.monotonic` of its delivery; `queued`: seconds that it waited before,
        if known; `timeline`: read at the end.
        """
        yield Trace()

    def exemplar(self) -> dict[str, str] | None:
        """Name the trace that the calling task is in, as a label for histograms."""
        return None

    async def close(self) -> None:
        """Send what is left, for a few seconds at most."""
