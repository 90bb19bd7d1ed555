"""Every metric of the daemon, declared in this one file on a registry of its own.

May import prometheus_client and schemas; never reads a setting, never names a label value that a caller can choose.
Other parts report through the methods of `Metrics`; nobody else touches a counter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from schemas.codes import DeadReason, ErrorCode
from schemas.reply import ModelInfo

Lane = Literal["interactive", "bulk"]
M = TypeVar("M", Counter, Gauge, Histogram)

PREFIX: Final = "sttd"

OK: Final = "ok"
"""`code` of a request that went well."""

OTHER: Final = "other"
"""What a label says when a value outside its documented set is reported: a series more, never a series per message."""

LANES: Final = ("interactive", "bulk", "suspect")
OUTCOMES: Final = ("completed", "failed", "retried", "suspected", "dead_lettered", "handed_back")
STAGES: Final = ("queued", "fetch", "decode", "transcribe", "reply", "total")
ROLES: Final = ("consume", "publish", "direct")
RESTARTS: Final = ("died", "timed_out", "protocol", "cancelled", "recycled")
FAILURES: Final = tuple(str(code) for code in ErrorCode)
CODES: Final = (OK, *FAILURES, str(DeadReason.MALFORMED))
RETRYABLE: Final = tuple(str(code) for code in ErrorCode if code.retryable)
REASONS: Final = tuple(str(reason) for reason in DeadReason)

STAGE_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300, 600, 1200, 1800)
AUDIO_BUCKETS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
FACTOR_BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5, 10)
LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

_EXPECTED: Final = {
    "completed": (OK,),
    "failed": FAILURES,
    "retried": RETRYABLE,
    "dead_lettered": (str(DeadReason.MALFORMED), str(ErrorCode.BAD_REPLY_TO), str(ErrorCode.INTERNAL_ERROR)),
    "suspected": (OK,),
    "handed_back": (OK,),
}
"""The codes that belong to each outcome: these series exist at 0 from the start, so that a first failure is an increase."""


@dataclass(frozen=True, slots=True)
class Described:
    """One row of docs/metrics.md. `values`: the documented set of each label, empty where a label is free but single."""

    name: str
    kind: str
    labels: dict[str, tuple[str, ...]]
    meaning: str


class _WithoutCreated(Collector):
    """The registry less its `_created` series: they double the page, and the library can only drop them process-wide."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def _known(value: str, known: Iterable[str]) -> str:
    return value if value in known else OTHER


def _lane(queue: str) -> str:
    """The lane of a queue, whatever the operator calls the request queue: a dashboard must not depend on that."""
    if queue in LANES:
        return queue
    if queue.endswith(".suspect"):
        return "suspect"
    return "bulk" if queue.endswith(".bulk") else "interactive"


class Metrics:
    """The daemon's observer. Methods are cheap, never raise on an unexpected label value, and may be called from any thread."""

    def __init__(self) -> None:
        """Declare everything; series with a known set of labels exist at 0 at once."""
        self.registry = CollectorRegistry()
        self.described: list[Described] = []
        self._visible = _WithoutCreated(self.registry)
        ProcessCollector(namespace=PREFIX, registry=self.registry)
        self._declare_requests()
        self._declare_work()
        self._declare_bus()
        self._declare_process()

    def _declare_requests(self) -> None:
        self._received = self._counter("requests_received", "Requests taken from a queue, redeliveries included.", {"lane": LANES})
        self._finished = self._counter(
            "requests_finished",
            "Requests that this process is done with, by what became of them. `code`: why.",
            {"outcome": OUTCOMES, "code": CODES},
        )
        for outcome, codes in _EXPECTED.items():
            for code in codes:
                self._finished.labels(outcome, code)
        self._redelivered = self._counter("redeliveries", "Requests that the broker had delivered before.")
        self._retried = self._counter("retries", "Requests sent to a retry queue.", {"code": RETRYABLE})
        self._dead = self._counter("dead_letters", "Requests moved to the dead-letter queue.", {"reason": REASONS})
        self._parked = self._counter("replies_parked", "Finished replies that no queue took, kept in the queue of dead replies.")
        self._in_flight = self._gauge("requests_in_flight", "Requests taken and not yet settled.")

    def _declare_work(self) -> None:
        self._stages = self._histogram(
            "stage_duration_seconds", "Time that a request spent in each stage.", STAGE_BUCKETS, {"stage": STAGES}
        )
        self._audio = self._histogram("audio_duration_seconds", "Length of the audio that was transcribed.", AUDIO_BUCKETS)
        self._silent = self._counter("no_speech", "Transcribed notes without any speech.")
        self._factor = self._histogram(
            "real_time_factor",
            "Time spent transcribing, divided by the length of the audio; below 1 is faster than speech.",
            FACTOR_BUCKETS,
        )
        self._bad_packets = self._counter("bad_packets", "Audio packets that could not be decoded and are missing from a transcript.")
        self._busy = self._gauge("engine_slots_busy", "Engine slots that are transcribing now.")
        self._waiting = self._gauge("engine_jobs_waiting", "Model calls that wait for an engine slot.")
        self._lane_waiting = self._gauge("engine_lane_waiting", "Model calls that wait for an engine slot, by lane.", {"lane": LANES[:2]})
        self._restarts = self._counter("decoder_restarts", "Decoder processes that were replaced.", {"reason": RESTARTS})
        self._load = self._gauge("model_load_seconds", "Time from start of loading until the model had passed its self-test.")
        self._model = Info(f"{PREFIX}_model", "The model that answers, and on what; always 1.", registry=self.registry)
        labels: dict[str, tuple[str, ...]] = dict.fromkeys(ModelInfo.model_fields, ())
        self.described.append(Described(f"{PREFIX}_model_info", "info", labels, "The model that answers, and on what; always 1."))

    def _declare_bus(self) -> None:
        self._up = self._gauge("connection_up", "1 while the connection to RabbitMQ is open.", {"role": ROLES})
        self._lost = self._counter("connection_losses", "Connections to RabbitMQ that ended without being asked to.", {"role": ROLES})
        self._blocked = self._gauge("publish_blocked", "1 while RabbitMQ blocks publishing (memory or disk alarm).")
        self._registered = self._gauge("consumer_registered", "1 while RabbitMQ has this process as a consumer of the request queue.")

    def _declare_process(self) -> None:
        self._lag = self._histogram("event_loop_lag_seconds", "How late the event loop ran a timer.", LAG_BUCKETS)

    def _counter(self, name: str, meaning: str, labels: dict[str, tuple[str, ...]] | None = None) -> Counter:
        counter = Counter(f"{PREFIX}_{name}", meaning, tuple(labels or ()), registry=self.registry)
        self._describe(f"{PREFIX}_{name}_total", "counter", meaning, labels)
        return _at_zero(counter, labels)

    def _gauge(self, name: str, meaning: str, labels: dict[str, tuple[str, ...]] | None = None) -> Gauge:
        gauge = Gauge(f"{PREFIX}_{name}", meaning, tuple(labels or ()), registry=self.registry)
        self._describe(f"{PREFIX}_{name}", "gauge", meaning, labels)
        return _at_zero(gauge, labels)

    def _histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...], labels: dict[str, tuple[str, ...]] | None = None
    ) -> Histogram:
        histogram = Histogram(f"{PREFIX}_{name}", meaning, tuple(labels or ()), registry=self.registry, buckets=buckets)
        self._describe(f"{PREFIX}_{name}", "histogram", meaning, labels)
        return _at_zero(histogram, labels)

    def _describe(self, name: str, kind: str, meaning: str, labels: dict[str, tuple[str, ...]] | None) -> None:
        self.described.append(Described(name, kind, labels or {}, meaning))

    def request_received(self, lane: str) -> None:
        """Count one delivery. `lane`: interactive, bulk or suspect, or the name of the queue that it came from."""
        self._received.labels(_lane(lane)).inc()

    def request_finished(self, outcome: str, code: str) -> None:
        """Count what became of one request. `code`: `ok`, an `ErrorCode` or `malformed`."""
        self._finished.labels(_known(outcome, OUTCOMES), _known(code, CODES)).inc()

    def redelivered(self) -> None:
        """Count a delivery that is not the request's first."""
        self._redelivered.inc()

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Record the time of one stage: one of `STAGES`."""
        self._stages.labels(_known(stage, STAGES)).observe(max(0.0, seconds))

    def observe_audio(self, seconds: float, no_speech: bool) -> None:
        """Record the length of one transcribed note, in seconds, and whether nobody spoke in it."""
        self._audio.observe(seconds)
        if no_speech:
            self._silent.inc()

    def real_time_factor(self, value: float) -> None:
        """Record transcription time over audio time of one note."""
        self._factor.observe(value)

    def bad_packets(self, count: int) -> None:
        """Count the packets of one note that could not be decoded."""
        self._bad_packets.inc(count)

    def set_in_flight(self, count: int) -> None:
        """Set how many requests are in hand."""
        self._in_flight.set(count)

    def reply_parked(self) -> None:
        """Count a reply that no queue took."""
        self._parked.inc()

    def dead_lettered(self, reason: str) -> None:
        """Count a dead letter by its `DeadReason`."""
        self._dead.labels(_known(reason, REASONS)).inc()

    def retried(self, code: str) -> None:
        """Count a retry copy by the `ErrorCode` that made it necessary."""
        self._retried.labels(_known(code, RETRYABLE)).inc()

    def connection(self, role: str, up: bool) -> None:
        """Set whether a connection is open. `role`: consume or publish."""
        self._up.labels(_known(role, ROLES)).set(up)

    def connection_lost(self, role: str) -> None:
        """Count a connection that ended by itself."""
        self._lost.labels(_known(role, ROLES)).inc()

    def publish_blocked(self, blocked: bool) -> None:
        """Set whether the broker blocks our publishing."""
        self._blocked.set(blocked)

    def consumer_registered(self, yes: bool) -> None:
        """Set whether the broker has us as a consumer."""
        self._registered.set(yes)

    def decoder_restarted(self, reason: str) -> None:
        """Count a replaced decoder process. `reason`: one of `RESTARTS`."""
        self._restarts.labels(_known(reason, RESTARTS)).inc()

    def model_loaded(self, info: ModelInfo, seconds: float) -> None:
        """Name the model that answers; `seconds` from start of loading to passed self-test."""
        self._model.info(info.model_dump())
        self._load.set(seconds)

    def engine(self, busy: Callable[[], int], waiting: Callable[[], int], waiting_of: Callable[[Lane], int] = lambda _lane: 0) -> None:
        """Read slots and queue from the engine at each scrape, instead of being told."""
        self._busy.set_function(busy)
        self._waiting.set_function(waiting)
        self._lane_waiting.labels("interactive").set_function(lambda: waiting_of("interactive"))
        self._lane_waiting.labels("bulk").set_function(lambda: waiting_of("bulk"))

    def loop_lag(self, seconds: float) -> None:
        """Record how late a timer of the event loop ran."""
        self._lag.observe(max(0.0, seconds))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as (body, content type), in the format that the `Accept` header asks for: Prometheus text or OpenMetrics."""
        encode, content_type = choose_encoder(accept)
        return encode(self._visible), content_type


def _at_zero(metric: M, labels: dict[str, tuple[str, ...]] | None) -> M:
    """Create the series of a metric with one label; more labels are combined by hand, as not every pair makes sense."""
    if labels and len(labels) == 1:
        for value in next(iter(labels.values())):
            metric.labels(value)
    return metric
