"""One message in hand, as read from its properties: its ids, its lane, when it expires, where its answer goes.

Never publishes, and never decides what a failure means: verdict.py does.
"""

import asyncio
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast, get_args

from sttd.consumer.bus import direct_address
from sttd.consumer.bus.seam import Incoming
from sttd.consumer.engine.transcriber import Lane
from sttd.consumer.errors import RequestFailed
from sttd.consumer.timeline import Timeline
from sttd.schemas import names, reply, request
from sttd.schemas.codes import ErrorCode

AT_ONCE = 1024 * 1024  # bytes of a body that are read and hashed on the event loop; more than that in a thread
MAX_ATTEMPTS = 1 + len(names.RETRY_SECONDS)
DANGEROUS_DELIVERIES = 2
SUSPECT_DELIVERIES = 3  # the host can also have killed the worker: one death with nothing else in hand is no proof
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_LONGEST_TRACE_STATE = 512
_SERVER_NAMED = "amq.gen-"  # what brokers name for callers, beside direct reply-to; every other amq.* is refused


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings about requests.

    `lanes`: our request queues, in the order of `Lane`. `forbidden_targets`: queues of ours that no reply may reach.
    """

    reply_queue: str
    lanes: tuple[str, ...]
    suspect_queue: str
    forbidden_targets: frozenset[str]
    max_body_bytes: int
    job_seconds: float
    worker: str


class Begun(threading.Event):
    """Set by the engine, in its thread, with the first model call. Requests that join share the first one's."""

    def __init__(self, timeline: Timeline) -> None:
        """`timeline`: of the request that began the work."""
        super().__init__()
        self.timeline = timeline
        self.counted = False  # by account.py


class Delivery:
    """One message in hand."""

    def __init__(self, incoming: Incoming, rules: Rules) -> None:
        """Read no body yet: a message that cannot be read must still be settled."""
        self.incoming = incoming
        self.rules = rules
        self.orphaned = asyncio.Event()
        self.timeline = Timeline()
        self.trace: dict[str, str] = _trace(incoming.properties.headers)  # the headers of copies and replies
        self.forgiven = 0  # redeliveries that a lost connection caused: see survived.py
        self.begun = Begun(self.timeline)

    @property
    def message_id(self) -> str | None:
        """The caller's message id; None on copies of a request that had none (aiormq invents one for every publish)."""
        properties = self.incoming.properties
        return None if properties.headers.get(names.UNNAMED_HEADER) is True else properties.message_id

    @property
    def request_id(self) -> str | None:
        """The caller's name for this request, for logs."""
        return self.message_id or self.incoming.properties.correlation_id

    @property
    def correlation_id(self) -> str | None:
        """What the reply carries: the caller's correlation id, else the message id."""
        return self.incoming.properties.correlation_id or self.message_id

    @property
    def suspected(self) -> bool:
        """Whether it comes from the suspect queue, which is worked on with nothing else in hand."""
        return self.incoming.lane == self.rules.suspect_queue

    @property
    def dangerous(self) -> bool:
        """Whether workers died with it in hand so often that it must be alone in hand.

        Deliveries that this process lost with a connection do not count; those that another process lost do.
        """
        limit = SUSPECT_DELIVERIES if self.suspected else DANGEROUS_DELIVERIES
        return self.incoming.deliveries - self.forgiven >= limit

    @property
    def lane(self) -> str:
        """The request queue that it belongs to, also while it is on the suspect queue.

        The mark is ours but anybody can write it.
        """
        if not self.suspected:
            return self.incoming.lane
        mark = self.incoming.properties.headers.get(names.LANE_HEADER)
        return mark if mark in self.rules.lanes else self.rules.lanes[0]

    @property
    def urgency(self) -> Lane:
        """Which requests go before it."""
        return cast("Lane", get_args(Lane)[self.rules.lanes.index(self.lane)])

    @property
    def target(self) -> str:
        """The queue that the reply goes to."""
        return self.incoming.properties.reply_to or self.rules.reply_queue

    @property
    def direct_reply(self) -> bool:
        """Whether the reply goes to RabbitMQ's pseudo queue, which keeps nothing for a requester who has gone."""
        return self.target.startswith(direct_address.PREFIX)

    @property
    def target_forbidden(self) -> bool:
        """Whether a reply there would loop, hide a dead letter, or reach into the broker's own names.

        A direct reply-to address that no broker gave is refused here, before any check at the broker: that check would
        cost the connection.
        """
        target = self.target
        if target in self.rules.forbidden_targets or target.startswith(
            (names.CONTROL_EXCHANGE, names.OPERATOR_EXCHANGE)
        ):
            return True
        return target.startswith("amq.") and not target.startswith(_SERVER_NAMED) and not direct_address.genuine(target)

    @cached_property
    def attempt(self) -> int:
        """Which try this is, from 1. The mark is ours but anybody can write it: clamped."""
        mark = self.incoming.properties.headers.get(names.ATTEMPT_HEADER)
        return min(max(mark, 1), MAX_ATTEMPTS) if type(mark) is int else 1

    @cached_property
    def first_seen(self) -> datetime:
        """When a worker first had this request in hand."""
        mark = _moment(self.incoming.properties.headers.get(names.FIRST_SEEN_HEADER))
        return min(mark, self.incoming.received_at) if mark else self.incoming.received_at

    @cached_property
    def reply_id(self) -> str:
        """The `stt-reply-id`: equal on every duplicate of this request's answer."""
        properties = self.incoming.properties
        return reply.reply_id(
            message_id=self.message_id,
            reply_to=properties.reply_to,
            correlation_id=properties.correlation_id,
            body=self.incoming.body,
        )

    @cached_property
    def expires(self) -> datetime | None:
        """When the message's own expiration passes: from `timestamp` if given, else from the first delivery."""
        properties = self.incoming.properties
        mark = _moment(properties.headers.get(names.EXPIRES_HEADER))
        if properties.expiration is None:
            return mark
        start = properties.timestamp or self.incoming.received_at
        try:
            own = start + timedelta(seconds=properties.expiration)
        except (OverflowError, ValueError):  # the year 10000 means never; so does what is no number
            return mark
        return min(own, mark) if mark else own

    @property
    def queued_seconds(self) -> float | None:
        """How long it waited in the queue; None without a `timestamp` to count from."""
        stamp = self.incoming.properties.timestamp
        return max(0.0, (self.incoming.received_at - stamp).total_seconds()) if stamp else None

    async def read(self) -> request.Request:
        """Read the request, a large one in a thread: 20 MB of JSON would hold up the event loop.

        Raises `RequestFailed` with the code and the message for the caller.
        """
        return await asyncio.to_thread(self.open) if len(self.incoming.body) > AT_ONCE else self.open()

    def open(self) -> request.Request:
        """`read` in this thread."""
        size, limit = len(self.incoming.body), self.rules.max_body_bytes
        if size > limit:
            raise RequestFailed(
                ErrorCode.BODY_TOO_LARGE,
                f"the body has {size} bytes; at most {limit} are taken",
                {"bytes": size, "limit": limit},
            )
        try:
            return request.parse(self.incoming.properties, self.incoming.body, now=datetime.now(UTC))
        except request.ContractError as error:
            raise RequestFailed(error.code, error.message, error.details) from error


def _trace(headers: Mapping[str, Any]) -> dict[str, str]:
    """The caller's W3C trace context, as far as it is one: anybody can write it."""
    parent, state = (headers.get(name) for name in names.TRACE_HEADERS)
    if not isinstance(parent, str) or not _TRACE_PARENT.fullmatch(parent):
        return {}
    context = {names.TRACE_HEADERS[0]: parent}
    if isinstance(state, str) and len(state) <= _LONGEST_TRACE_STATE and state.isascii() and state.isprintable():
        context[names.TRACE_HEADERS[1]] = state
    return context


def _moment(mark: Any) -> datetime | None:
    """Epoch milliseconds in a header -> a time; None for anything else."""
    if type(mark) is not int:
        return None
    try:
        return datetime.fromtimestamp(mark / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
