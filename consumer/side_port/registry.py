"""How a metric is declared: with its row for docs/metrics.md, on a registry of its own, at 0 from the start."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Metric
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

M = TypeVar("M", Counter, Gauge, Histogram)
Labels = dict[str, tuple[str, ...]]

PREFIX: Final = "sttd"


@dataclass(frozen=True, slots=True)
class Described:
    """One row of docs/metrics.md.

    `labels`: the documented values of each, empty where a label is free but single.
    """

    name: str
    kind: str
    labels: dict[str, tuple[str, ...]]
    meaning: str


class WithoutCreated(Collector):
    """The registry less its `_created` series.

    They double the page, and the library can only drop them process-wide.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """`registry`: asked at each scrape."""
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """See `Collector.collect`."""
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class CountedElsewhere(Collector):
    """A counter with one label that another part keeps.

    `read`, set later, is called at each scrape. 0 for a value that it lacks.
    """

    def __init__(self, name: str, meaning: str, label: str, values: tuple[str, ...]) -> None:
        self.read: Callable[[], Mapping[str, float]] = dict
        self._name, self._meaning, self._label, self._values = name, meaning, label, values

    def collect(self) -> Iterator[Metric]:
        """See `Collector.collect`."""
        family, counts = CounterMetricFamily(self._name, self._meaning, labels=[self._label]), self.read()
        for value in self._values:
            family.add_metric([value], counts.get(value, 0))
        yield family


class Declarations:
    """Declares metrics and remembers what it declared.

    `name`: without the prefix; `meaning`: its row in the docs; `labels`: the documented values of each.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.described: list[Described] = []

    def named(self, name: str, meaning: str, labels: tuple[str, ...]) -> Info:
        """Declare an info metric, whose labels have free but single values."""
        self._describe(f"{name}_info", "info", meaning, dict.fromkeys(labels, ()))
        return Info(f"{PREFIX}_{name}", meaning, registry=self.registry)

    def counter(self, name: str, meaning: str, labels: Labels | None = None) -> Counter:
        """Declare a counter; `_total` is added."""
        self._describe(f"{name}_total", "counter", meaning, labels)
        return self._made(Counter, name, meaning, labels)

    def counted_elsewhere(self, name: str, meaning: str, label: str, values: tuple[str, ...]) -> CountedElsewhere:
        """Declare a counter that is read; `_total` is added."""
        self._describe(f"{name}_total", "counter", meaning, {label: values})
        counter = CountedElsewhere(f"{PREFIX}_{name}", meaning, label, values)
        self.registry.register(counter)
        return counter

    def gauge(self, name: str, meaning: str, labels: Labels | None = None) -> Gauge:
        """Declare a gauge."""
        self._describe(name, "gauge", meaning, labels)
        return self._made(Gauge, name, meaning, labels)

    def histogram(self, name: str, meaning: str, buckets: tuple[float, ...], labels: Labels | None = None) -> Histogram:
        """Declare a histogram. `buckets`: upper bounds."""
        self._describe(name, "histogram", meaning, labels)
        return self._made(Histogram, name, meaning, labels, buckets=buckets)

    def _describe(self, name: str, kind: str, meaning: str, labels: Labels | None) -> None:
        self.described.append(Described(f"{PREFIX}_{name}", kind, labels or {}, meaning))

    def _made(self, kind: type[M], name: str, meaning: str, labels: Labels | None, **how: Any) -> M:
        """With the series of its one label; more labels are combined by hand, as not every pair makes sense."""
        metric = kind(f"{PREFIX}_{name}", meaning, tuple(labels or ()), registry=self.registry, **how)
        if labels and len(labels) == 1:
            for value in next(iter(labels.values())):
                metric.labels(value)
        return metric
