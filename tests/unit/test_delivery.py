"""One message in hand: its properties, and that hostile marks and targets change nothing they should not."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sttd.consumer.bus.seam import Incoming
from sttd.consumer.errors import RequestFailed
from sttd.consumer.request.delivery import MAX_ATTEMPTS, Delivery, Rules
from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reply import reply_id
from sttd.schemas.request import Properties
from tests.support.fakes import DIRECT_ADDRESS, RULES, FakeSettler

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def in_hand(body: bytes = b"audio", *, rules: Rules = RULES, **properties: Any) -> Delivery:
    """A delivery with these properties, received at noon."""
    incoming = Incoming("stt.requests", body, Properties(**properties), FakeSettler(), received=0.0, received_at=NOW)
    return Delivery(incoming, rules)


def marked(value: Any) -> Delivery:
    """A delivery that claims to be on some attempt."""
    return in_hand(headers={names.ATTEMPT_HEADER: value})


@pytest.mark.parametrize(
    ("mark", "attempt"),
    [
        (1, 1),
        (3, 3),
        (MAX_ATTEMPTS, MAX_ATTEMPTS),
        (0, 1),
        (-5, 1),
        (10**9, MAX_ATTEMPTS),
        ("3", 1),
        (True, 1),
        ({"deep": 3}, 1),
        ([3], 1),
        (2.0, 1),
        (None, 1),
    ],
)
def test_the_attempt_is_clamped_whatever_the_mark_says(mark: Any, attempt: int) -> None:
    """Anybody can write the mark: it must neither skip the retries nor make endless ones."""
    assert marked(mark).attempt == attempt


@given(st.integers() | st.text() | st.booleans() | st.floats() | st.none() | st.dictionaries(st.text(), st.integers()))
def test_no_mark_at_all_breaks_a_delivery(mark: Any) -> None:
    """What is read from the marks has its bounds, and reading never raises."""
    held = in_hand(headers={names.ATTEMPT_HEADER: mark, names.EXPIRES_HEADER: mark, names.FIRST_SEEN_HEADER: mark})

    assert 1 <= held.attempt <= MAX_ATTEMPTS
    assert held.expires is None or held.expires.tzinfo is UTC
    assert held.first_seen <= NOW


def test_expiration_counts_from_the_timestamp_else_from_the_delivery() -> None:
    """A caller that gives the time of sending gets its own clock; all others get the daemon's."""
    sent = NOW - timedelta(seconds=40)

    assert in_hand(expiration=60.0, timestamp=sent).expires == sent + timedelta(seconds=60)
    assert in_hand(expiration=60.0).expires == NOW + timedelta(seconds=60)
    assert in_hand().expires is None


def test_the_mark_of_an_earlier_try_keeps_the_expiry_and_the_earlier_moment_wins() -> None:
    """The broker drops `expiration` when it dead-letters: without the mark a retry would never expire."""
    mark = {names.EXPIRES_HEADER: int((NOW + timedelta(seconds=5)).timestamp() * 1000)}

    assert in_hand(headers=mark).expires == NOW + timedelta(seconds=5)
    assert in_hand(headers=mark, expiration=60.0).expires == NOW + timedelta(seconds=5)
    assert in_hand(headers=mark, expiration=1.0).expires == NOW + timedelta(seconds=1)


@pytest.mark.parametrize("expiration", [1e18, math.inf, math.nan])
def test_an_expiration_beyond_the_calendar_means_never(expiration: float) -> None:
    """A number that no date can hold must not crash the delivery, which would leave it unacked for ever."""
    assert in_hand(expiration=expiration).expires is None
    assert in_hand(expiration=expiration, timestamp=datetime(9999, 12, 31, tzinfo=UTC)).expires is None


def test_first_seen_is_never_in_the_future() -> None:
    """The mark is shown to operators as the age of a dead letter; a forged one may only make it older."""
    late = in_hand(headers={names.FIRST_SEEN_HEADER: int((NOW + timedelta(days=1)).timestamp() * 1000)})
    early = in_hand(headers={names.FIRST_SEEN_HEADER: int((NOW - timedelta(days=1)).timestamp() * 1000)})

    assert (late.first_seen, early.first_seen) == (NOW, NOW - timedelta(days=1))


def test_queued_seconds_needs_a_timestamp_and_is_never_negative() -> None:
    """Callers' clocks are ahead as often as behind."""
    assert in_hand().queued_seconds is None
    assert in_hand(timestamp=NOW - timedelta(seconds=3)).queued_seconds == 3.0
    assert in_hand(timestamp=NOW + timedelta(seconds=3)).queued_seconds == 0.0


@pytest.mark.parametrize(
    ("correlation_id", "message_id", "answered_with"),
    [("c-1", "m-1", "c-1"), (None, "m-1", "m-1"), ("c-1", None, "c-1"), (None, None, None)],
)
def test_the_reply_carries_the_correlation_id_else_the_message_id(
    correlation_id: str | None, message_id: str | None, answered_with: str | None
) -> None:
    """The contract, section 3: absent, `message_id` takes its place; both absent, null."""
    assert in_hand(correlation_id=correlation_id, message_id=message_id).correlation_id == answered_with


def test_the_reply_id_is_the_one_of_the_contract() -> None:
    """A reader keeps the first terminal reply by it, so every worker must come to the same one."""
    named = in_hand(message_id="m-1", reply_to="a", correlation_id="1")
    unnamed = in_hand(reply_to="a", correlation_id="1")

    assert named.reply_id == reply_id(message_id="m-1", reply_to=None, correlation_id=None, body=b"")
    assert unnamed.reply_id == reply_id(message_id=None, reply_to="a", correlation_id="1", body=b"audio")


def test_a_retried_request_without_a_message_id_keeps_its_reply_id() -> None:
    """The copy has an id that the daemon made up; the answers of both tries are still duplicates of one another."""
    first = in_hand(reply_to="a", correlation_id="1")
    copy = in_hand(reply_to="a", correlation_id="1", message_id="made-up", headers={names.UNNAMED_HEADER: True})

    assert copy.reply_id == first.reply_id
    assert (copy.message_id, copy.request_id) == (None, "1")


@pytest.mark.parametrize(
    "target",
    """
        stt.requests stt.requests.bulk stt.suspect stt.dead stt.replies.dead stt.requests.overflow stt.control
        stt.control.worker-1 amq.rabbitmq.reply-to amq.rabbitmq.reply-to. amq.rabbitmq.reply-to.X.Y amq.rabbitmq.log
        amq.direct amq. amq.gen
    """.split(),
)
def test_targets_that_would_loop_or_reach_into_the_broker_are_forbidden(target: str) -> None:
    """A reply there would be consumed as a request, hide a dead letter, or go where the daemon's rights reach."""
    assert in_hand(reply_to=target).target_forbidden


@pytest.mark.parametrize(
    "target", [None, "stt.replies", "bot.answers", "amq.gen-JzTY", DIRECT_ADDRESS, "stt.requests.mine"]
)
def test_callers_queues_and_what_the_broker_names_for_them_are_allowed(target: str | None) -> None:
    """Pika's RPC pattern (an exclusive, server-named queue) and direct reply-to must work."""
    assert not in_hand(reply_to=target).target_forbidden


def test_a_direct_reply_is_told_by_its_address() -> None:
    """It goes over a connection of its own."""
    assert in_hand(reply_to=DIRECT_ADDRESS).direct_reply
    assert not in_hand(reply_to="amq.gen-JzTY").direct_reply
    assert not in_hand().direct_reply


def test_an_oversized_body_is_refused_before_anything_is_parsed() -> None:
    """JSON of any depth, or base64, is never looked at when it is too large to begin with."""
    with pytest.raises(RequestFailed) as refused:
        in_hand(b"{" * 1001, content_type="application/json").open()

    assert (refused.value.code, refused.value.details) == (ErrorCode.BODY_TOO_LARGE, {"bytes": 1001, "limit": 1000})


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    """The documented limit is the largest size that works."""
    assert in_hand(b"x" * 1000).open().audio == b"x" * 1000


def test_what_breaks_the_contract_is_refused_with_its_code() -> None:
    """The words of schemas.request reach the caller unchanged."""
    with pytest.raises(RequestFailed) as refused:
        in_hand(headers={"stt-nonsense": "1"}).open()

    assert refused.value.code is ErrorCode.BAD_REQUEST
    assert "stt-nonsense" in refused.value.message
