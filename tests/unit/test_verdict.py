"""Which failures are answered, which are tried again, which leave a dead copy."""

from datetime import UTC, datetime

import pytest

from sttd.consumer.bus.seam import Incoming
from sttd.consumer.errors import RequestFailed
from sttd.consumer.request import verdict
from sttd.consumer.request.delivery import MAX_ATTEMPTS, Delivery
from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reply import Failure
from sttd.schemas.request import Properties
from tests.support.fakes import RULES, FakeSettler

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


def test_every_code_that_may_be_retried_says_so_to_the_caller() -> None:
    """`retryable` in a failure means that sending it again later can help: true of all that we try again ourselves."""
    assert all(code.retryable for code in verdict.RETRIED)
