"""Builds everything that the daemon publishes about a request: replies, parked replies, and copies.

Copies are for a retry, the overflow, suspect or dead-letter queue. Publishes nothing. They carry an allow-list of
headers: a caller's `CC`, `BCC`, `user_id` or `x-death`, copied with our rights, would make RabbitMQ route, refuse or
count for that caller (tests/chaos/README.md, rows 86-88).
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sttd.consumer.bus.seam import Outgoing
from sttd.consumer.request.delivery import Delivery
from sttd.schemas import names
from sttd.schemas.codes import DeadReason, ErrorCode
from sttd.schemas.options import copied
from sttd.schemas.reply import TYPE_OF, Failure, FailureDetail, Progress, Transcript

LONGEST_TEXT = 4096  # of an option header on a copy; the contract allows 1,000 characters


def reply(delivery: Delivery, body: Transcript | Failure | Progress) -> Outgoing:
    """Make the answer for the caller, with a message id of its own."""
    return Outgoing(
        routing_key=delivery.target,
        body=body.model_dump_json().encode(),
        correlation_id=delivery.correlation_id,
        timestamp=datetime.now(UTC),
        type=TYPE_OF[type(body)],
        headers={names.REPLY_ID_HEADER: delivery.reply_id} | delivery.trace,
        mandatory=not isinstance(body, Progress),
    )


def parked(answer: Outgoing, delivery: Delivery) -> Outgoing:
    """Make the copy of an unroutable reply; `sttd-reply-to` is where it should have gone."""
    return Outgoing(
        routing_key=names.REPLIES_DEAD,
        body=answer.body,
        correlation_id=answer.correlation_id,
        timestamp=answer.timestamp,
        type=answer.type,
        headers={**answer.headers, names.MEANT_FOR_HEADER: delivery.target, names.WORKER_HEADER: delivery.rules.worker},
    )


def failure(delivery: Delivery, code: ErrorCode, message: str, details: dict[str, Any]) -> Failure:
    """Make the failure that the caller reads.

    `message`: for a person, without speech; `details`: scalars and lists for a program.
    """
    return Failure(
        correlation_id=delivery.correlation_id,
        message_id=delivery.message_id,
        error=FailureDetail(code=code, message=message, retryable=code.retryable, details=details),
        attempt=delivery.attempt,
        worker=delivery.rules.worker,
    )


def retry(delivery: Delivery, code: ErrorCode) -> Outgoing:
    """Make the copy that comes back to its own lane after the delay of this attempt, see `names.RETRY_SECONDS`."""
    return _later(delivery, code, names.RETRY_QUEUES[delivery.attempt - 1], attempt=delivery.attempt + 1)


def spared(delivery: Delivery, code: ErrorCode) -> Outgoing:
    """Make the copy that comes back after the shortest delay as the same attempt."""
    return _later(delivery, code, names.RETRY_QUEUES[0], attempt=delivery.attempt)


def _later(delivery: Delivery, code: ErrorCode, tier: str, *, attempt: int) -> Outgoing:
    marks = {names.ATTEMPT_HEADER: attempt, names.ERROR_CODE_HEADER: str(code)}
    return _copy(delivery, exchange=tier, routing_key=delivery.lane, marks=marks)


def suspect(delivery: Delivery) -> Outgoing:
    """Make the copy for the suspect queue, where it will be alone in hand; the mark keeps its lane."""
    marks = {names.ATTEMPT_HEADER: delivery.attempt, names.LANE_HEADER: delivery.lane}
    return _copy(delivery, exchange="", routing_key=delivery.rules.suspect_queue, marks=marks)


def overflow(delivery: Delivery) -> Outgoing:
    """Make the copy for the overflow queue, as the same attempt; of its expiration it has what is left."""
    copy = _copy(
        delivery, exchange="", routing_key=delivery.rules.lanes[1], marks={names.ATTEMPT_HEADER: delivery.attempt}
    )
    left, ends = delivery.incoming.properties.expiration, delivery.expires
    if left is not None and ends is not None:  # the broker counts anew from the copy
        left = max(0.0, min(left, (ends - datetime.now(UTC)).total_seconds()))
    return replace(copy, expiration=left)


def dead(delivery: Delivery, reason: DeadReason, code: str) -> Outgoing:
    """Make the copy for the dead-letter queue; the routing key keeps the lane, for a requeue.

    `code`: of the failure, for its header.
    """
    marks = {names.ATTEMPT_HEADER: delivery.attempt, names.REASON_HEADER: str(reason), names.ERROR_CODE_HEADER: code}
    return _copy(delivery, exchange=names.DEAD_EXCHANGE, routing_key=delivery.lane, marks=marks)


def _copy(delivery: Delivery, *, exchange: str, routing_key: str, marks: dict[str, Any]) -> Outgoing:
    properties = delivery.incoming.properties
    headers = (
        _options(delivery)
        | delivery.trace
        | marks
        | {names.FIRST_SEEN_HEADER: _epoch_ms(delivery.first_seen), names.WORKER_HEADER: delivery.rules.worker}
    )
    if delivery.expires:
        # The broker drops `expiration` when it dead-letters; without this mark a retried request would never expire.
        headers[names.EXPIRES_HEADER] = _epoch_ms(delivery.expires)
    if not delivery.message_id:
        headers[names.UNNAMED_HEADER] = True
    return Outgoing(
        exchange=exchange,
        routing_key=routing_key,
        body=delivery.incoming.body,
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        timestamp=properties.timestamp,
        headers=headers,
        message_id=delivery.message_id or str(uuid4()),
    )


def _options(delivery: Delivery) -> dict[str, Any]:
    """The caller's option headers, as far as they are values that an option could have."""
    found = copied(delivery.incoming.properties.headers)
    return {name: value for name, value in found.items() if not isinstance(value, str) or len(value) <= LONGEST_TEXT}


def _epoch_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
