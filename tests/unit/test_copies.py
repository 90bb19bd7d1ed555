"""What the daemon publishes about a request: answers with their own ids, copies with an allow-list of headers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sttd.consumer.bus.seam import Incoming
from sttd.consumer.request import copies
from sttd.consumer.request.delivery import Delivery
from sttd.schemas import names
from sttd.schemas.codes import DeadReason, ErrorCode
from sttd.schemas.options import from_headers
from sttd.schemas.reply import Progress
from sttd.schemas.request import Properties, parse
from tests.support.fakes import DIRECT_ADDRESS, RULES, FakeSettler

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
HOSTILE = {
    "CC": ["stt.dead", "victim"],
    "BCC": ["victim"],
    "x-death": [{"count": 99, "queue": "stt.requests"}],
    "x-delivery-count": 99,
    "user-id": "admin",
    "sttd-reason": "forged",
    "sttd-worker": "forged",
    "anything": "else",
}


def in_hand(body: bytes = b"audio", **properties: Any) -> Delivery:
    """A delivery with these properties, received at noon."""
    incoming = Incoming(
        "stt.requests.bulk", body, Properties(**properties), FakeSettler(), received=0.0, received_at=NOW
    )
    return Delivery(incoming, RULES)


def test_a_reply_has_a_message_id_of_its_own_each_time() -> None:
    """Aiormq finds the publish of a return by message id: the caller's id would cross two answers."""
    held = in_hand(message_id="m-1", reply_to="bot")
    progress = Progress(correlation_id=None, message_id="m-1", fraction=0.5, text="")
    first, second = copies.reply(held, progress), copies.reply(held, progress)

    assert len({first.message_id, second.message_id, "m-1"}) == 3
    assert first.headers == second.headers == {names.REPLY_ID_HEADER: held.reply_id}


def test_a_reply_carries_nothing_that_could_be_answered_again() -> None:
    """No `reply_to`: two daemons would answer each other for ever."""
    held = in_hand(message_id="m-1", reply_to="bot", correlation_id="c-1", headers=HOSTILE)
    answer = copies.reply(held, copies.failure(held, ErrorCode.EXPIRED, "late", {}))

    assert (answer.routing_key, answer.exchange, answer.reply_to, answer.correlation_id) == ("bot", "", None, "c-1")
    assert (answer.type, answer.mandatory) == ("stt.failure.v1", True)
    assert set(answer.headers) == {names.REPLY_ID_HEADER}


def test_progress_may_be_lost_and_an_answer_may_not() -> None:
    """Progress is not worth parking."""
    progress = Progress(correlation_id=None, message_id=None, fraction=0.5, text="")
    direct = in_hand(reply_to=DIRECT_ADDRESS)

    assert not copies.reply(in_hand(reply_to="bot"), progress).mandatory
    assert not copies.reply(direct, progress).mandatory
    assert copies.reply(direct, copies.failure(direct, ErrorCode.EXPIRED, "late", {})).mandatory


@pytest.mark.parametrize("kind", ["retry", "dead"])
def test_copies_carry_only_options_and_our_own_fresh_marks(kind: str) -> None:
    """With our rights a copied CC or BCC would be routed, a copied user id refused, a copied x-death counted."""
    held = in_hand(headers=HOSTILE | {"stt-language": "ru"}, message_id="m-1")
    copy = (
        copies.retry(held, ErrorCode.MODEL_ERROR)
        if kind == "retry"
        else copies.dead(held, DeadReason.TIMED_OUT, "timed_out")
    )

    ours = {names.ATTEMPT_HEADER, names.ERROR_CODE_HEADER, names.FIRST_SEEN_HEADER, names.WORKER_HEADER}
    assert set(copy.headers) == {"stt-language"} | ours | ({names.REASON_HEADER} if kind == "dead" else set())
    assert copy.headers[names.WORKER_HEADER] == "worker-1"
    assert copy.headers.get(names.REASON_HEADER) == (None if kind == "retry" else "timed_out")


def test_a_copy_keeps_what_the_request_said() -> None:
    """The next try, or the operator who sends it again, must be able to answer the same caller in the same way."""
    said: dict[str, Any] = {
        "content_type": "audio/ogg",
        "content_encoding": "identity",
        "correlation_id": "c-1",
        "reply_to": "bot",
        "message_id": "m-1",
        "timestamp": NOW - timedelta(seconds=3),
    }
    copy = copies.retry(in_hand(b"audio", **said), ErrorCode.MODEL_ERROR)

    assert {name: getattr(copy, name) for name in said} == said
    assert (copy.body, copy.routing_key, copy.mandatory) == (b"audio", "stt.requests.bulk", True)


def test_a_copy_of_an_unnamed_request_says_that_its_id_is_made_up() -> None:
    """Else the next try would answer with a message id that the caller never sent."""
    unnamed = copies.retry(in_hand(), ErrorCode.MODEL_ERROR)
    again = copies.retry(in_hand(message_id=unnamed.message_id, headers=dict(unnamed.headers)), ErrorCode.MODEL_ERROR)

    assert unnamed.headers[names.UNNAMED_HEADER] is True
    assert again.headers[names.UNNAMED_HEADER] is True
    assert names.UNNAMED_HEADER not in copies.retry(in_hand(message_id="m-1"), ErrorCode.MODEL_ERROR).headers


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("stt-languages", ["ru", "en"]),
        ("stt-languages", "ru,en"),
        ("stt-temperature", 0.4),
        ("stt-beam-size", 3),
        ("stt-vad", False),
        ("stt-word-timestamps", "true"),
        ("STT_Word_Timestamps", "true"),
        ("stt-deadline", 1_795_348_800_000),
        ("stt-deadline", NOW + timedelta(hours=1)),
        ("stt-initial-prompt", "Купил"),
    ],
)
def test_a_copied_option_means_what_it_meant(header: str, value: Any) -> None:
    """A retried request is transcribed with the same options, in whatever form the caller's client wrote them."""
    held = in_hand(headers={header: value})
    copy = copies.retry(held, ErrorCode.MODEL_ERROR)
    again = Properties(headers=copy.headers)

    assert parse(again, b"audio", now=NOW) == parse(held.incoming.properties, b"audio", now=NOW)


@pytest.mark.parametrize(
    "value", [1e300, -1e300, 2**64, {"deep": 1}, [1, [2]], b"\xff", bytearray(b"x"), None, "x" * 5000, ["x" * 5000]]
)
def test_option_headers_of_any_value_leave_a_copy_that_can_be_written(value: Any) -> None:
    """Pamqp refuses to write some values that it reads; a dead copy with one of them could never be published."""
    copied = copies.dead(in_hand(headers={"stt-temperature": value}), DeadReason.BAD_REPLY_TO, "bad_reply_to").headers

    carried = copied.get("stt-temperature")
    assert carried is None or (isinstance(carried, str) and len(carried) <= copies.LONGEST_TEXT)
    assert from_headers(copied).keys() <= {"temperature"}


def test_a_parked_reply_says_where_it_should_have_gone() -> None:
    """A reply in the queue of dead replies holds all that is needed to deliver it."""
    held = in_hand(reply_to="gone", correlation_id="c-1", message_id="m-1")
    answer = copies.reply(held, copies.failure(held, ErrorCode.EXPIRED, "late", {}))
    parked = copies.parked(answer, held)

    assert (parked.routing_key, parked.body, parked.correlation_id, parked.type) == (
        "stt.replies.dead",
        answer.body,
        "c-1",
        answer.type,
    )
    assert parked.headers["sttd-reply-to"] == "gone"
    assert parked.headers[names.REPLY_ID_HEADER] == held.reply_id
    assert parked.message_id != answer.message_id
