"""What the daemon answers: the three replies over the wire, the id of an answer, codes and names."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sttd.schemas import languages, names
from sttd.schemas.cancel import Cancel
from sttd.schemas.codes import DeadReason, ErrorCode
from sttd.schemas.names import MessageType
from sttd.schemas.reply import REPLY, TYPE_OF, Failure, Progress, Transcript, reply_id
from tools.messages import examples

MAYBE_TEXT = st.none() | st.text(max_size=30)
EXAMPLES = [examples.TRANSCRIPT, examples.FAILURE, examples.PROGRESS]


@pytest.mark.parametrize("reply", EXAMPLES, ids=lambda reply: reply.status)
def test_a_reply_survives_the_wire(reply: Transcript | Failure | Progress) -> None:
    """What the daemon writes, the client reads, as the type that `status` names."""
    read = REPLY.validate_json(reply.model_dump_json())

    assert read == reply
    assert type(read) is type(reply)


@pytest.mark.parametrize("reply", EXAMPLES, ids=lambda reply: reply.status)
def test_readers_ignore_fields_of_a_later_version(reply: Transcript | Failure | Progress) -> None:
    """A daemon may be newer than its clients."""
    later = reply.model_dump(mode="json") | {"invented_later": {"deep": [1, 2]}}

    assert REPLY.validate_python(later) == reply


def test_an_unknown_status_is_refused() -> None:
    """A reader cannot take a new kind of message for an answer."""
    with pytest.raises(ValidationError, match="status"):
        REPLY.validate_python({"status": "paused", "correlation_id": None, "message_id": None})


def test_the_old_services_three_fields_are_at_the_top() -> None:
    """Code written for the old service reads `text`, `language` and `duration` where they were."""
    body = json.loads(examples.TRANSCRIPT.model_dump_json())

    assert (body["text"], body["language"], body["duration"]) == (examples.TEXT, "ru", 3.1)


def test_every_field_is_sent_even_when_it_is_null() -> None:
    """Readers in strict languages need not ask whether a field is there."""
    body = json.loads(
        examples.TRANSCRIPT.model_copy(update={"correlation_id": None, "message_id": None}).model_dump_json()
    )

    assert body["correlation_id"] is None
    assert set(body) == set(Transcript.model_fields)


def test_text_is_sent_as_it_is_and_not_escaped() -> None:
    """Cyrillic stays readable in the broker's own tools and takes two bytes a letter, not six."""
    assert examples.TEXT in examples.TRANSCRIPT.model_dump_json()


@pytest.mark.parametrize(
    ("reply", "change"),
    [
        (examples.TRANSCRIPT, {"duration": -1}),
        (examples.TRANSCRIPT, {"attempt": 0}),
        (examples.TRANSCRIPT, {"text": None}),
        (examples.FAILURE, {"attempt": 0}),
        (examples.FAILURE, {"error": {}}),
        (examples.PROGRESS, {"fraction": 1.1}),
        (examples.PROGRESS, {"fraction": -0.1}),
    ],
)
def test_impossible_replies_cannot_be_made(reply: Transcript | Failure | Progress, change: dict[str, Any]) -> None:
    """The daemon's own mistakes are caught before they are published."""
    with pytest.raises(ValidationError):
        REPLY.validate_python(reply.model_dump(mode="json") | change)


def test_each_reply_has_its_message_type() -> None:
    """A reader can distinguish them without opening the body."""
    assert {Transcript: MessageType.TRANSCRIPT, Failure: MessageType.FAILURE, Progress: MessageType.PROGRESS} == TYPE_OF
    assert [str(kind) for kind in MessageType] == ["stt.transcript.v1", "stt.failure.v1", "stt.progress.v1"]


@pytest.mark.parametrize(
    ("given_values", "expected"),
    [
        (("m-1", "reply.q", "1", b"audio"), "283ee046-c441-5b00-9aee-82713c7fb2ce"),
        ((None, "reply.q", "1", b"audio"), "6eae2bab-36b9-5647-869a-fda41483d380"),
        ((None, None, None, b"audio"), "896f35e3-bb3d-53fb-89dd-79e013b3d88e"),
        ((None, "", "", b"audio"), "896f35e3-bb3d-53fb-89dd-79e013b3d88e"),
        (("", "reply.q", "1", b"audio"), "6eae2bab-36b9-5647-869a-fda41483d380"),
    ],
)
def test_reply_ids_never_change(given_values: tuple[str | None, str | None, str | None, bytes], expected: str) -> None:
    """Two versions of the daemon on one queue mark the same answer alike: these values are for ever."""
    message_id, reply_to, correlation_id, body = given_values

    assert reply_id(message_id=message_id, reply_to=reply_to, correlation_id=correlation_id, body=body) == expected


@given(MAYBE_TEXT, MAYBE_TEXT, MAYBE_TEXT, st.binary(max_size=50))
def test_a_reply_id_is_a_uuid_and_the_same_each_time(
    message_id: str | None, reply_to: str | None, correlation_id: str | None, body: bytes
) -> None:
    """A redelivery on another worker gives the same id, whatever the strings are."""
    first = reply_id(message_id=message_id, reply_to=reply_to, correlation_id=correlation_id, body=body)
    second = reply_id(message_id=message_id, reply_to=reply_to, correlation_id=correlation_id, body=body)

    assert first == second
    assert UUID(first).version == 5


def test_callers_with_the_same_correlation_id_have_different_answers() -> None:
    """Many clients count 1, 2, 3: the reply queue or the audio keeps them apart."""
    ids = {
        reply_id(message_id=None, reply_to=reply_to, correlation_id="1", body=body)
        for reply_to, body in [("a", b"one"), ("b", b"one"), ("a", b"two")]
    }

    assert len(ids) == 3


def test_with_a_message_id_nothing_else_counts() -> None:
    """A caller that resends the same request with the same id can recognize the duplicate answers."""
    one = reply_id(message_id="m", reply_to="a", correlation_id="1", body=b"x")
    two = reply_id(message_id="m", reply_to="b", correlation_id="2", body=b"y")

    assert one == two


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_one_sentence(code: ErrorCode) -> None:
    """A person who reads a code can find it in the docs; the sentence is a sentence."""
    assert code.sentence.endswith(".")
    assert code.sentence[0].isupper()
    assert str(code) == code.value == code.name.lower()
    assert {str(known): known for known in ErrorCode}[str(code)] is code


def test_only_the_moments_fault_is_retryable() -> None:
    """Bots loop on `retryable`: bad audio must never be among them."""
    assert {str(code) for code in ErrorCode if code.retryable} == {
        "model_error",
        "internal_error",
        "timed_out",
        "audio_ref_unavailable",
    }


def test_codes_and_reasons_are_what_was_published() -> None:
    """A code may be added, never renamed: bots branch on them."""
    assert {str(code) for code in ErrorCode} >= set(
        """
        bad_request body_too_large unsupported_media audio_unreadable no_audio_stream audio_empty audio_too_long
        expired cancelled model_error internal_error timed_out poison bad_reply_to
    """.split()
    )
    assert {str(reason) for reason in DeadReason} >= set(
        "bad_reply_to malformed retries_exhausted timed_out poison".split()
    )


def test_names_on_the_wire_never_change() -> None:
    """Queues outlive versions: a renamed one is a lost one."""
    assert (names.REQUESTS, names.REQUESTS_BULK, names.SUSPECT) == ("stt.requests", "stt.requests.bulk", "stt.suspect")
    assert names.RETRY_QUEUES == ("stt.retry.10s", "stt.retry.60s", "stt.retry.600s")
    assert (names.DEAD, names.DEAD_EXCHANGE) == ("stt.dead", "stt.dlx")
    assert (names.REPLIES, names.REPLIES_DEAD) == ("stt.replies", "stt.replies.dead")
    assert (names.CONTROL_EXCHANGE, names.DIRECT_REPLY_TO) == ("stt.control", "amq.rabbitmq.reply-to")
    assert (names.APP_ID, names.REPLY_ID_HEADER) == ("sttd", "stt-reply-id")
    assert (names.OPTION_PREFIX, names.ATTEMPT_HEADER) == ("stt-", "sttd-attempt")


@pytest.mark.parametrize(
    "bad", [{}, {"cancel": ""}, {"cancel": "x" * 256}, {"cancel": 7}, {"cancel": "a", "more": 1}], ids=str
)
def test_a_cancel_names_exactly_one_request(bad: dict[str, Any]) -> None:
    """A cancel that cannot be understood cancels nothing."""
    with pytest.raises(ValidationError):
        Cancel.model_validate(bad)
    assert Cancel.model_validate({"cancel": "m-1"}).cancel == "m-1"


def test_languages_are_whispers_hundred() -> None:
    """The codes are lower-case, `auto` is not one of them, and the old service's language is."""
    assert len(languages.CODES) == 100
    assert languages.AUTO not in languages.CODES
    assert {"ru", "en", "yue"} <= languages.CODES
    assert all(code == code.lower() for code in languages.CODES)
