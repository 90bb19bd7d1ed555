"""Names on the wire: queues, exchanges, message types, header names. They are part of the contract.

Every other module takes them from here.
"""

import re
from enum import StrEnum
from typing import Final

REQUESTS: Final = "stt.requests"
"""Interactive voice notes: a person waits for the text."""

REQUESTS_BULK: Final = "stt.requests.bulk"
"""Backfills: served when no interactive note waits, and at least every tenth slot."""

SUSPECT: Final = "stt.suspect"
"""Requests that were in hand when a worker died; taken one at a time."""

RETRY_SECONDS: Final = (10, 60, 600)
"""Delays of the retry tiers, in seconds, in the order in which they are used."""

DEAD: Final = "stt.dead"
"""Requests that ended without an answer, or with a failure worth a look; each copy carries its reason."""

DEAD_EXCHANGE: Final = "stt.dlx"
"""Fanout in front of the dead-letter queue."""

REPLIES: Final = "stt.replies"
"""Where replies go when the request names no `reply_to`."""

REPLIES_DEAD: Final = "stt.replies.dead"
"""Finished replies that could not be delivered."""

CONTROL_EXCHANGE: Final = "stt.control"
"""Fanout for cancels; each daemon binds a queue of its own."""

OPERATOR_EXCHANGE: Final = "stt.operator"
"""Fanout for `sttd control`; only operators may write to it. Each daemon binds a queue of its own."""

DIRECT_REPLY_TO: Final = "amq.rabbitmq.reply-to"
"""RabbitMQ's pseudo queue for replies without a queue."""

APP_ID: Final = "sttd"
"""`app_id` of everything that the daemon publishes."""

OPTION_PREFIX: Final = "stt-"
"""Prefix of request headers that carry options: `stt-word-timestamps`."""

REPLY_ID_HEADER: Final = "stt-reply-id"
"""Reply header: the same on every duplicate of one answer."""

# The daemon's own marks on copies of requests; clamped, never trusted.
REASON_HEADER: Final = "sttd-reason"
ERROR_CODE_HEADER: Final = "sttd-error-code"
ATTEMPT_HEADER: Final = "sttd-attempt"
FIRST_SEEN_HEADER: Final = "sttd-first-seen"
WORKER_HEADER: Final = "sttd-worker"
EXPIRES_HEADER: Final = "sttd-expires"
LANE_HEADER: Final = "sttd-lane"
MEANT_FOR_HEADER: Final = "sttd-reply-to"
"""On parked replies: the queue that was gone."""
TRACE_HEADERS: Final = ("traceparent", "tracestate")
"""W3C trace context of the request, as its publisher gave it; copies and replies carry it on."""

UNNAMED_HEADER: Final = "sttd-unnamed"
"""On copies: the request had no `message_id`; the copy's own is not the caller's."""


_QUEUE: Final = re.compile(r"[a-zA-Z0-9_.:@#,/+ -]{1,240}")


def queue_name(value: str) -> str:
    """The same name. Raises `ValueError` for one that no daemon can declare: AMQP libraries refuse other letters."""
    if not _QUEUE.fullmatch(value) or value.startswith("amq."):
        raise ValueError(
            "must have 1 to 240 Latin letters, digits, spaces or signs of `-_.:@#,/+`, and not begin with `amq.`"
        )
    return value


class MessageType(StrEnum):
    """The `type` property of everything that the daemon publishes as an answer."""

    TRANSCRIPT = "stt.transcript.v1"
    FAILURE = "stt.failure.v1"
    PROGRESS = "stt.progress.v1"


def retry_queue(seconds: int) -> str:
    """Name of the retry tier (queue and fanout exchange alike) that waits `seconds`."""
    return f"stt.retry.{seconds}s"


RETRY_QUEUES: Final = tuple(retry_queue(seconds) for seconds in RETRY_SECONDS)


def bulk_of(request_queue: str) -> str:
    """Name of the bulk lane beside a request queue."""
    return f"{request_queue}.bulk"


def overflow_of(request_queue: str) -> str:
    """Name of the queue of what callers have beyond their share."""
    return f"{request_queue}.overflow"


def suspect_of(request_queue: str) -> str:
    """Name of the suspect queue: daemons on another request queue may run another model, so they have their own."""
    return SUSPECT if request_queue == REQUESTS else f"{request_queue}.suspect"


def request_queues(request_queue: str) -> tuple[str, ...]:
    """All queues that requests for one request queue can wait in, but for the retries."""
    return request_queue, overflow_of(request_queue), bulk_of(request_queue), suspect_of(request_queue)
