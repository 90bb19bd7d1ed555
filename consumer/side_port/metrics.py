"""Every metric of the daemon, declared in this one file on a registry of its own.

Never reads a setting, never names a label value that a caller can choose. Other parts report through `Metrics`: by its
methods, or to a metric itself where that needs neither a label nor a check.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal, Protocol, get_args

from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder

from sttd.consumer.side_port.backlog import Backlog
from sttd.consumer.side_port.labels import (
    AUDIO_BUCKETS,
    BATCH_BUCKETS,
    CODES,
    EXPECTED,
    FACTOR_BUCKETS,
    LAG_BUCKETS,
    LANES,
    OUTCOMES,
    QUEUES,
    REASONS,
    RERUNS,
    RESTARTS,
    RETRYABLE,
    ROLES,
    STAGE_BUCKETS,
    STAGES,
    known,
    lane_of,
)
from sttd.consumer.side_port.registry import PREFIX, Declarations, WithoutCreated
from sttd.schemas.reply import ModelInfo

Lane = Literal["interactive", "overflow", "bulk"]

DISTRIBUTION: Final = "sttd"
MOST_FAILURES: Final = 50
"""Failures that the status page shows."""

_STAGES: Final = (
    "Time of a request in each stage. `queued` needs a `timestamp` on the request; `transcribe` holds `wait` (for an "
    "engine slot), `encode` and `generate`, each the sum over windows, which may run side by side; `total` is from "
    "delivery to settled."
)


@dataclass(frozen=True, slots=True)
class Ended:
    """A request that did not go well, for the status page: when (epoch seconds) and why, never whose."""

    at: float
    outcome: str
    code: str


class Calls(Protocol):
    """Live counts of model calls: the engine's gate. Asked from the side port, so they must not block."""

    @property
    def busy(self) -> int:
        """Calls that run."""

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""

    def waiting_of(self, lane: Lane) -> int:
        """Those of `waiting` that belong to one lane."""


class Metrics:
    """The daemon's observer.

    Methods are cheap, never raise on an unexpected label value, and may be called from any thread.
    """

    def __init__(self, exemplar: Callable[[], dict[str, str] | None] = lambda: None) -> None:
        """Declare everything; series with a known set of labels exist at 0 at once.

        `exemplar()` names the trace that the calling task is in, if any: `{"trace_id": ...}`.
        """
        declare = Declarations()
        self.registry, self.described = declare.registry, declare.described
        self.failures: deque[Ended] = deque(maxlen=MOST_FAILURES)
        self._exemplar = exemplar
        self._blocked_since: float | None = None
        self._visible = WithoutCreated(self.registry)
        ProcessCollector(namespace=PREFIX, registry=self.registry)
        self._declare_requests(declare)
        self._declare_work(declare)
        self._declare_bus(declare)
        self._declare_process(declare)

    def _declare_requests(self, declare: Declarations) -> None:
        self._answers = declare.histogram(
            "answer_duration_seconds",
            "Time from the request's `timestamp` (without one: its delivery) until its answer was confirmed.",
            STAGE_BUCKETS,
            {"lane": LANES},
        )
        self._received = declare.counter(
            "requests_received", "Requests taken from a queue, redeliveries included.", {"lane": LANES}
        )
        self._finished = declare.counter(
            "requests_finished", "Requests finished, by outcome and reason.", {"outcome": OUTCOMES, "code": CODES}
        )
        for outcome, codes in EXPECTED.items():
            for code in codes:
                self._finished.labels(outcome, code)
        self.redeliveries = declare.counter("redeliveries", "Requests delivered before.")
        self._retried = declare.counter("retries", "Requests sent to a retry queue.", {"code": RETRYABLE})
        self._dead = declare.counter("dead_letters", "Requests moved to the dead-letter queue.", {"reason": REASONS})
        self.parked = declare.counter(
            "replies_parked", "Replies that no queue took, kept in the queue of dead replies."
        )
        self.joined = declare.counter("requests_joined", "Requests answered with the text of an equal one in hand.")
        self.in_flight = declare.gauge("requests_in_flight", "Requests taken and not yet settled.")

    def _declare_work(self, declare: Declarations) -> None:
        self._stages = declare.histogram("stage_duration_seconds", _STAGES, STAGE_BUCKETS, {"stage": STAGES})
        self._audio = declare.histogram(
            "audio_duration_seconds", "Length of the audio that was transcribed.", AUDIO_BUCKETS
        )
        self._silent = declare.counter("no_speech", "Transcribed notes without any speech.")
        self.real_time_factor = declare.histogram(
            "real_time_factor", "Time spent transcribing, divided by the length of the audio.", FACTOR_BUCKETS
        )
        self.bad_packets = declare.counter("bad_packets", "Audio packets that could not be decoded.")
        self._slots = declare.gauge("engine_slots", "Engine slots.")
        self._busy = declare.gauge("engine_slots_busy", "Engine slots that are transcribing now.")
        self._waiting = declare.gauge("engine_jobs_waiting", "Model calls that wait for an engine slot.")
        self._lane_waiting = declare.gauge(
            "engine_lane_waiting", "Model calls that wait for an engine slot, by lane.", {"lane": get_args(Lane)}
        )
        self.breaker_open = declare.gauge(
            "breaker_open", "1 while the intake is stopped because request after request fails."
        )
        self.batch_sizes = declare.histogram(
            "engine_batch_size", "Model calls that ran together; on a CPU only short windows do.", BATCH_BUCKETS
        )
        self._reruns = declare.counted_elsewhere(
            "context_reruns", "Windows computed again in full after a short context.", "reason", RERUNS
        )
        self._restarts = declare.counter(
            "decoder_restarts", "Decoder processes that were replaced.", {"reason": RESTARTS}
        )
        self._load = declare.gauge("model_load_seconds", "Time of loading the model, self-test included.")
        self._model = declare.named(
            "model", "The model that answers, and on what; always 1.", tuple(ModelInfo.model_fields)
        )

    def _declare_bus(self, declare: Declarations) -> None:
        self._up = declare.gauge("connection_up", "1 while the connection to RabbitMQ is open.", {"role": ROLES})
        self._lost = declare.counter(
            "connection_losses", "Connections to RabbitMQ that ended without being asked to.", {"role": ROLES}
        )
        self._blocked = declare.gauge("publish_blocked", "1 while RabbitMQ blocks publishing (memory or disk alarm).")
        self._blocked_seconds = declare.counter(
            "publish_blocked_seconds", "Time during which RabbitMQ blocked publishing."
        )
        self._depth = declare.gauge(
            "queue_depth",
            "Messages ready in a queue, read every 2 or 4 s. All daemons report the same: take the max, not the sum.",
            {"queue": QUEUES},
        )
        self._oldest = declare.gauge(
            "queue_oldest_age_seconds",
            "Upper bound of the wait of the oldest ready message: since the last delivered one's `timestamp`, or since "
            "the queue was empty, whichever is later (else since the start). 0 when none is ready.",
            {"queue": LANES},
        )
        self._backlogs = {lane: Backlog(time.time()) for lane in LANES}
        for lane in LANES:
            self._oldest.labels(lane).set_function(partial(self._age, lane))
        self.consumer_registered = declare.gauge(
            "consumer_registered", "1 while the connection for requests serves; a pause of the intake changes nothing."
        )
        self.paused = declare.gauge("paused", "1 while `sttd control pause` is in force.")
        self.orders_ignored = declare.counter(
            "orders_ignored", "Messages on the operator's exchange that were no orders."
        )

    def _declare_process(self, declare: Declarations) -> None:
        self.loop_lag = declare.histogram("event_loop_lag_seconds", "How late the event loop ran a timer.", LAG_BUCKETS)
        self._ready = declare.gauge("ready", "1 while `/readyz` says 200.")
        self._bound = declare.gauge(
            "memory_bound_bytes", "Most memory that this process should need, without its decoder children."
        )
        declare.named("build", "The version that runs; always 1.", ("version",)).info({"version": _version()})

    def request_received(self, lane: str) -> None:
        """Count one delivery. `lane`: one of `LANES`, or the name of the queue that it came from."""
        self._received.labels(lane_of(lane)).inc()

    def request_finished(self, outcome: str, code: str) -> None:
        """Count what became of one request. `code`: `ok`, an `ErrorCode` or `malformed`."""
        ended = Ended(time.time(), known(outcome, OUTCOMES), known(code, CODES))
        self._finished.labels(ended.outcome, ended.code).inc()
        if outcome not in {"completed", "moved", "handed_back"}:
            self.failures.append(ended)

    def answered(self, lane: str, seconds: float) -> None:
        """Record how long a caller waited for the answer that was just confirmed."""
        self._answers.labels(lane_of(lane)).observe(max(0.0, seconds), self._exemplar())

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Record the time of one stage, one of `STAGES`."""
        self._stages.labels(known(stage, STAGES)).observe(max(0.0, seconds), self._exemplar())

    def observe_audio(self, seconds: float, no_speech: bool) -> None:
        """Record the length of one transcribed note, in seconds, and whether it had no speech."""
        self._audio.observe(seconds)
        if no_speech:
            self._silent.inc()

    def dead_lettered(self, reason: str) -> None:
        """Count a dead letter by its `DeadReason`."""
        self._dead.labels(known(reason, REASONS)).inc()

    def retried(self, code: str) -> None:
        """Count a retry copy by the `ErrorCode` that made it necessary."""
        self._retried.labels(known(code, RETRYABLE)).inc()

    def connection(self, role: str, up: bool) -> None:
        """Set whether a connection is open. `role`: one of `ROLES`."""
        self._up.labels(known(role, ROLES)).set(up)

    def connection_lost(self, role: str) -> None:
        """Count a connection that ended by itself."""
        self._lost.labels(known(role, ROLES)).inc()

    def publish_blocked(self, blocked: bool) -> None:
        """Set whether the broker blocks our publishing."""
        self._count_blocked()
        self._blocked_since = time.monotonic() if blocked else None
        self._blocked.set(blocked)

    def _count_blocked(self) -> None:
        """Count up to now, so that a scrape in the middle of a blockage sees it grow."""
        since, now = self._blocked_since, time.monotonic()
        if since is not None:
            self._blocked_seconds.inc(now - since)
            self._blocked_since = now

    def queue_counted(self, queue: str, depth: int) -> None:
        """Set how many messages are ready. `queue`: one of `QUEUES`, or the name of a lane's queue."""
        label = queue if queue in QUEUES else lane_of(queue)
        self._depth.labels(label).set(depth)
        if label in self._backlogs:
            self._backlogs[label].counted(depth, time.time())

    def _age(self, lane: str) -> float:
        return self._backlogs[lane].age(time.time())

    def delivered(self, lane: str, published: float | None) -> None:
        """Count a message that came, and when it was published (epoch seconds), if that is known."""
        if published is not None:
            self._backlogs[lane_of(lane)].delivered(published)

    def decoder_restarted(self, reason: str) -> None:
        """Count a replaced decoder process. `reason`: one of `RESTARTS`."""
        self._restarts.labels(known(reason, RESTARTS)).inc()

    def model_loaded(self, info: ModelInfo, seconds: float) -> None:
        """Name the model that answers; `seconds` from start of loading to passed self-test."""
        self._model.info(info.model_dump())
        self._load.set(seconds)

    def engine(self, calls: Calls, reruns: Callable[[], Mapping[str, int]], slots: int) -> None:
        """Read slots, queue and reruns from the engine from now on.

        `reruns()`: windows computed again in full, by reason; a reason that never came may be missing.
        """
        self._slots.set(slots)
        self._busy.set_function(lambda: calls.busy)
        self._waiting.set_function(lambda: calls.waiting)
        for lane in get_args(Lane):
            self._lane_waiting.labels(lane).set_function(partial(calls.waiting_of, lane))
        self._reruns.read = reruns

    def serving(self, ready: Callable[[], bool], bound_bytes: int) -> None:
        """Read readiness at each scrape; `bound_bytes`: the most memory that this process should need."""
        self._ready.set_function(ready)
        self._bound.set(bound_bytes)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as (body, content type).

        In the format that the `Accept` header asks for: Prometheus text or OpenMetrics.
        """
        self._count_blocked()
        encode, content_type = choose_encoder(accept)
        return encode(self._visible), content_type


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # run from a tree that is not installed
        return "unknown"
