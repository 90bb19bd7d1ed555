"""What becomes of a request: one function for each outcome, and for each target that cannot be reached.

Never publishes. A new failure gets a function here and a line in the docs.
"""

from dataclasses import dataclass, replace
from typing import Literal

from sttd.consumer.bus.seam import Outgoing
from sttd.consumer.errors import BusError, PublishForbidden, RequestFailed, Unconfirmed
from sttd.consumer.request import copies
from sttd.consumer.request.delivery import MAX_ATTEMPTS, Delivery
from sttd.schemas.codes import DeadReason, ErrorCode
from sttd.schemas.reply import Failure, Transcript

Outcome = Literal["completed", "failed", "retried", "suspected", "moved", "dead_lettered"]

RETRIED = frozenset({ErrorCode.MODEL_ERROR, ErrorCode.INTERNAL_ERROR, ErrorCode.AUDIO_REF_UNAVAILABLE})
"""Failures that may be over a moment later, so tried again. Not timing out: the next try would take as long."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What replaces the message: a reply, a copy, or both, in this order; then it may be acked.

    `parked`: the reply is kept in the queue of dead replies, because its target does not take it.
    """

    outcome: Outcome
    code: str
    answer: Transcript | Failure | None = None
    copy: Outgoing | None = None
    dead_reason: DeadReason | None = None
    parked: bool = False


def completed(transcript: Transcript) -> Verdict:
    """The request went well."""
    return Verdict("completed", "ok", answer=transcript)


def malformed(delivery: Delivery) -> Verdict:
    """No answer: the properties that name its target could not be read."""
    return dead(delivery, DeadReason.MALFORMED, "malformed")


def bad_reply_to(delivery: Delivery) -> Verdict:
    """No answer: its target is one that no reply may reach."""
    return dead(delivery, DeadReason.BAD_REPLY_TO, ErrorCode.BAD_REPLY_TO)


def dead(delivery: Delivery, reason: DeadReason, code: str) -> Verdict:
    """A dead copy and no answer.

    `reason`: why it is dead; `code`: of the failure, for its header.
    """
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
    return _given_up(delivery, code, answer, reason)


def _given_up(delivery: Delivery, code: ErrorCode, answer: Failure, reason: DeadReason) -> Verdict:
    copy = copies.dead(delivery, reason, str(code))
    return Verdict("failed", str(code), answer=answer, copy=copy, dead_reason=reason)


def suspect(delivery: Delivery) -> Verdict:
    """It was in hand too often when a worker died: from now on it is alone in hand, so that no other dies with it."""
    return Verdict("suspected", "ok", copy=copies.suspect(delivery))


def moved(delivery: Delivery) -> Verdict:
    """Its caller has its share in hand (callers.py): it waits in the overflow queue, from which it is never moved."""
    return Verdict("moved", "ok", copy=copies.overflow(delivery))


def poison(delivery: Delivery) -> Verdict:
    """It was alone in hand when workers died: the caller gets an answer, and no worker takes it again."""
    code, details = ErrorCode.POISON, {"deliveries": delivery.incoming.deliveries}
    return _given_up(delivery, code, copies.failure(delivery, code, code.sentence, details), DeadReason.POISON)


def requester_gone(delivery: Delivery) -> Verdict:
    """The requester's direct reply-to is gone: no engine time is spent; the answer is parked."""
    answer = copies.failure(delivery, ErrorCode.CANCELLED, "the requester has gone", {})
    return Verdict("failed", ErrorCode.CANCELLED, copy=copies.parked(copies.reply(delivery, answer), delivery))


def retried(delivery: Delivery, code: ErrorCode) -> Verdict:
    """A copy in the next retry tier, and no answer yet."""
    return Verdict("retried", str(code), copy=copies.retry(delivery, code))


def spared(delivery: Delivery, code: ErrorCode) -> Verdict:
    """The worker is broken (breaker.py): a copy in the first retry tier that does not count as a try."""
    return Verdict("retried", str(code), copy=copies.spared(delivery, code))


def without_answer(delivery: Delivery, judged: Verdict, error: BusError) -> Verdict:
    """The answer's target did not take it. `error`: what the publisher raised at last.

    Access refused does not change with time: a dead copy. Without a confirm nobody can say whether the answer is there:
    the request is tried again while there are tries left. A finished answer whose queue is gone is parked for the
    operator. An answer to a direct reply-to is parked in each case: a later try would not find its connection.
    """
    if isinstance(error, PublishForbidden):
        return bad_reply_to(delivery)
    if not isinstance(error, Unconfirmed) or delivery.direct_reply:
        return replace(judged, parked=True)
    if delivery.attempt < MAX_ATTEMPTS and judged.dead_reason is not DeadReason.RETRIES_EXHAUSTED:
        return retried(delivery, ErrorCode.INTERNAL_ERROR)
    return dead(delivery, DeadReason.RETRIES_EXHAUSTED, ErrorCode.INTERNAL_ERROR)


def without_copy(delivery: Delivery, judged: Verdict) -> Verdict | None:
    """The copy's queue is gone or refused: a retry instead of a move, an answer instead of a retry; else None."""
    if judged.outcome == "moved":
        return spared(delivery, ErrorCode.INTERNAL_ERROR)
    if judged.outcome != "retried":
        return None
    code = next(code for code in ErrorCode if code == judged.code)  # mypy reads the call ErrorCode(...) as its __new__
    answer = copies.failure(delivery, code, code.sentence, {})
    return _given_up(delivery, code, answer, DeadReason.RETRIES_EXHAUSTED)


def unpublishable(judged: Verdict) -> Verdict:
    """Neither answer nor copy could be published: the message was rejected, and the broker dead-letters it itself."""
    return Verdict("dead_lettered", judged.code, dead_reason=DeadReason.UNPUBLISHABLE)
