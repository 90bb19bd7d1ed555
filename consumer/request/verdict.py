"""The table "what becomes of a request" of design section 3, row by row, as one pure function.

Imports copies, errors and schemas; never publishes. A new failure gets a row here and a line in the docs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sttd.consumer.bus.seam import Outgoing
from sttd.consumer.errors import RequestFailed
from sttd.consumer.request import copies
from sttd.consumer.request.delivery import MAX_ATTEMPTS, Delivery
from sttd.schemas.codes import DeadReason, ErrorCode
from sttd.schemas.reply import Failure, Transcript

Outcome = Literal["completed", "failed", "retried", "suspected", "dead_lettered"]

RETRIED = frozenset({ErrorCode.MODEL_ERROR, ErrorCode.INTERNAL_ERROR, ErrorCode.AUDIO_REF_UNAVAILABLE})
"""Failures that may be the moment's fault: tried again after a delay. Timing out is not: the next try would take as long."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What replaces the message: a reply, a copy, or both, in this order; then it may be acked."""

    outcome: Outcome
    code: str
    answer: Transcript | Failure | None = None
    copy: Outgoing | None = None
    dead_reason: DeadReason | None = None


def completed(transcript: Transcript) -> Verdict:
    """The request went well."""
    return Verdict("completed", "ok", answer=transcript)


def malformed(delivery: Delivery) -> Verdict:
    """Nobody can be told: the properties that say whom could not be read."""
    return dead(delivery, DeadReason.MALFORMED, "malformed")


def bad_reply_to(delivery: Delivery) -> Verdict:
    """Nobody may be told: the target is one that no reply may reach."""
    return dead(delivery, DeadReason.BAD_REPLY_TO, ErrorCode.BAD_REPLY_TO)


def dead(delivery: Delivery, reason: DeadReason, code: str) -> Verdict:
    """A dead copy and no answer."""
    return Verdict("dead_lettered", str(code), copy=copies.dead(delivery, reason, str(code)), dead_reason=reason)


def failed(delivery: Delivery, error: RequestFailed) -> Verdict:
    """The request failed: answer now, try again later, or give up with both an answer and a dead copy."""
    code = error.code
    if code in RETRIED and delivery.attempt < MAX_ATTEMPTS:
        return retried(delivery, code)
    answer = copies.failure(delivery, code, error.message, error.details)
    if not code.retryable:
        return Verdict("failed", str(code), answer=answer)
    reason = DeadReason.TIMED_OUT if code is ErrorCode.TIMED_OUT else DeadReason.RETRIES_EXHAUSTED
    return Verdict(
        "failed", str(code), answer=answer, copy=copies.dead(delivery, reason, str(code)), dead_reason=reason
    )


def suspect(delivery: Delivery) -> Verdict:
    """It was in hand too often when a worker died: from now on it is alone in hand, and costs no neighbours."""
    return Verdict("suspected", "ok", copy=copies.suspect(delivery))


def poison(delivery: Delivery) -> Verdict:
    """It was alone in hand when workers died: the caller is told, and nobody takes it again."""
    answer = copies.failure(
        delivery, ErrorCode.POISON, ErrorCode.POISON.sentence, {"deliveries": delivery.incoming.deliveries}
    )
    return Verdict(
        "failed",
        ErrorCode.POISON,
        answer=answer,
        copy=copies.dead(delivery, DeadReason.POISON, ErrorCode.POISON),
        dead_reason=DeadReason.POISON,
    )


def nobody_waits(delivery: Delivery) -> Verdict:
    """The requester's direct reply-to is gone: no engine time is spent; what it would have been told is parked."""
    told = copies.failure(delivery, ErrorCode.CANCELLED, "the requester has gone", {})
    return Verdict("failed", ErrorCode.CANCELLED, copy=copies.parked(copies.reply(delivery, told), delivery))


def exhausted(delivery: Delivery, wire_code: str) -> Verdict:
    """No further try is possible: the caller is told, and a dead copy kept."""
    code = next(code for code in ErrorCode if code == wire_code)
    answer = copies.failure(delivery, code, code.sentence, {})
    copy = copies.dead(delivery, DeadReason.RETRIES_EXHAUSTED, code)
    return Verdict("failed", code, answer=answer, copy=copy, dead_reason=DeadReason.RETRIES_EXHAUSTED)


def retried(delivery: Delivery, code: ErrorCode) -> Verdict:
    """A copy in the next retry tier, and no answer yet."""
    return Verdict("retried", str(code), copy=copies.retry(delivery, code))


def unconfirmed(delivery: Delivery) -> Verdict:
    """A finished reply that the broker would not confirm: the request is tried again, or given up without an answer."""
    if delivery.attempt < MAX_ATTEMPTS:
        return retried(delivery, ErrorCode.INTERNAL_ERROR)
    return dead(delivery, DeadReason.RETRIES_EXHAUSTED, ErrorCode.INTERNAL_ERROR)
