"""The last minutes of the daemon, for the status page: one point every few seconds, the oldest dropped.

Reads the metrics' registry; never writes to it. Holds numbers only.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry

from sttd.consumer.side_port.labels import LANES
from sttd.consumer.side_port.metrics import Metrics

EVERY: Final = 5.0
"""Seconds between two points."""

POINTS: Final = 120
"""Ten minutes."""

NAMES: Final = tuple(
    """
    sttd_requests_finished_total sttd_answer_duration_seconds_sum sttd_answer_duration_seconds_count
    sttd_requests_in_flight sttd_engine_slots_busy sttd_engine_slots sttd_queue_depth sttd_queue_oldest_age_seconds
    """.split()
)


@dataclass(frozen=True, slots=True)
class Totals:
    """The metrics at one moment. Counters count from the start of the process."""

    completed: float
    failed: float
    answers: float
    answer_seconds: float
    in_flight: int
    busy: int
    slots: int
    depth: int
    oldest: float


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the plots: counts since the point before, gauges as they were."""

    completed: float
    failed: float
    answer_seconds: float | None
    busy: int
    depth: int


def totals(metrics: Metrics) -> Totals:
    """Read the registry once."""
    found = _samples(metrics.registry)

    def total(name: str, **labels: str) -> float:
        return sum(
            value
            for (other, theirs), value in found.items()
            if other == name and labels.items() <= dict(theirs).items()
        )

    finished = "sttd_requests_finished_total"
    return Totals(
        completed=total(finished, outcome="completed"),
        failed=sum(total(finished, outcome=outcome) for outcome in ("failed", "dead_lettered")),
        answers=total("sttd_answer_duration_seconds_count"),
        answer_seconds=total("sttd_answer_duration_seconds_sum"),
        in_flight=int(total("sttd_requests_in_flight")),
        busy=int(total("sttd_engine_slots_busy")),
        slots=int(total("sttd_engine_slots")),
        depth=int(sum(total("sttd_queue_depth", queue=queue) for queue in LANES)),
        oldest=max(total("sttd_queue_oldest_age_seconds", queue=queue) for queue in ("interactive", "overflow")),
    )


def _samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for metric in registry.restricted_registry(NAMES).collect()
        for sample in metric.samples
        if sample.name in NAMES
    }


class History:
    """The points so far."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._before = totals(metrics)
        self.points: deque[Point] = deque(maxlen=POINTS)

    def look(self) -> None:
        """Take one point."""
        before, now = self._before, totals(self._metrics)
        answers = now.answers - before.answers
        self.points.append(
            Point(
                completed=now.completed - before.completed,
                failed=now.failed - before.failed,
                answer_seconds=(now.answer_seconds - before.answer_seconds) / answers if answers else None,
                busy=now.busy,
                depth=now.depth,
            )
        )
        self._before = now
