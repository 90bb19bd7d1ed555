"""Which failures are answered, which are tried again, which leave a dead copy."""

from datetime import UTC, datetime

import pytest

from sttd.consumer.bus.seam import Incoming
from sttd.consumer.errors import RequestFailed, Unconfirmed
from sttd.consumer.request import verdict
from sttd.consumer.request.delivery import MAX_ATTEMPTS, Delivery
from sttd.schemas import names
from sttd.schemas.codes import DeadReason, ErrorCode
from sttd.schemas.reply import Failure
from sttd.schemas.request import Properties
from tests.support.fakes import RULES, FakeSettler

CANCELLED = RequestFailed(ErrorCode.CANCELLED, "no")
PERMANENT = [code for code in ErrorCode if not code.retryable]


def on_attempt(attempt: int) -> Delivery:
    """A delivery on its `attempt`th try."""
    properties = Properties(message_id="m-1", headers={names.ATTEMPT_HEADER: attempt})
    incoming = Incoming("stt.requests", b"x", properties, FakeSettler(), received=0.0, received_at=datetime.now(UTC))
    return Delivery(incoming, RULES)


@pytest.mark.parametrize("attempt", range(1, MAX_ATTEMPTS + 1))
@pytest.mark.parametrize("code", PERMANENT)
def test_a_permanent_failure_is_answered_at_once_and_never_copied(code: ErrorCode, attempt: int) -> None:
    """A retry of what cannot succeed only makes the caller wait."""
    found = verdict.failed(on_attempt(attempt), RequestFailed(code, "no"))

    assert (found.outcome, found.code, found.copy, found.dead_reason) == ("failed", code, None, None)
    assert isinstance(found.answer, Failure)
    assert (found.answer.error.code, found.answer.error.retryable) == (code, False)


@pytest.mark.parametrize(("attempt", "tier"), [(1, "stt.retry.10s"), (2, "stt.retry.60s"), (3, "stt.retry.600s")])
@pytest.mark.parametrize("code", [ErrorCode.MODEL_ERROR, ErrorCode.INTERNAL_ERROR])
def test_a_transient_failure_waits_in_the_next_tier_without_an_answer(code: ErrorCode, attempt: int, tier: str) -> None:
    """10 s, 60 s, 600 s; the caller is answered only when the tries have ended."""
    found = verdict.failed(on_attempt(attempt), RequestFailed(code, "no"))

    assert (found.outcome, found.answer, found.dead_reason) == ("retried", None, None)
    assert found.copy is not None
    assert (found.copy.exchange, found.copy.routing_key) == (tier, "stt.requests")
    assert found.copy.headers[names.ATTEMPT_HEADER] == attempt + 1


@pytest.mark.parametrize("code", [ErrorCode.MODEL_ERROR, ErrorCode.INTERNAL_ERROR])
def test_the_last_try_ends_with_an_answer_and_a_dead_copy(code: ErrorCode) -> None:
    """Bounded, and never nothing: the caller is answered, the operator finds the request."""
    found = verdict.failed(on_attempt(MAX_ATTEMPTS), RequestFailed(code, "no", {"step": "decode"}))

    assert found.dead_reason is DeadReason.RETRIES_EXHAUSTED
    assert isinstance(found.answer, Failure)
    assert (found.answer.error.retryable, found.answer.error.details) == (True, {"step": "decode"})
    assert found.copy is not None
    assert found.copy.exchange == names.DEAD_EXCHANGE


def test_a_timeout_is_answered_and_kept_but_not_tried_again() -> None:
    """The next try would take as long again."""
    found = verdict.failed(on_attempt(1), RequestFailed(ErrorCode.TIMED_OUT, "too long"))

    assert (found.outcome, found.dead_reason) == ("failed", DeadReason.TIMED_OUT)
    assert isinstance(found.answer, Failure)
    assert found.copy is not None
    assert found.copy.headers[names.REASON_HEADER] == "timed_out"


def test_an_unconfirmed_reply_is_a_retry_until_the_tries_have_ended() -> None:
    """The reply may or may not be there; after the last try only the dead copy is left."""
    first, last = (
        verdict.without_answer(delivery, verdict.failed(delivery, CANCELLED), Unconfirmed("nack"))
        for delivery in (on_attempt(1), on_attempt(MAX_ATTEMPTS))
    )

    assert (first.outcome, first.answer) == ("retried", None)
    assert (last.outcome, last.answer, last.dead_reason) == ("dead_lettered", None, DeadReason.RETRIES_EXHAUSTED)


@pytest.mark.parametrize(
    ("found", "reason", "code"),
    [
        (verdict.malformed, DeadReason.MALFORMED, "malformed"),
        (verdict.bad_reply_to, DeadReason.BAD_REPLY_TO, "bad_reply_to"),
    ],
)
def test_who_cannot_be_answered_leaves_a_dead_copy_only(found: object, reason: DeadReason, code: str) -> None:
    """An answer would have no address, or a forbidden one."""
    assert callable(found)
    judged = found(on_attempt(1))

    assert (judged.outcome, judged.code, judged.answer, judged.dead_reason) == ("dead_lettered", code, None, reason)
    assert (judged.copy.headers[names.REASON_HEADER], judged.copy.headers[names.ERROR_CODE_HEADER]) == (reason, code)


def test_every_code_that_may_be_retried_says_so_to_the_caller() -> None:
    """`retryable` in a failure means that sending it again later can help: true of all that we try again ourselves."""
    assert all(code.retryable for code in verdict.RETRIED)
