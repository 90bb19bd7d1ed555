"""Clients made only from the contract's documents get right answers from the real daemon."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support import second_engine
from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note, spoken
from tests.support.rpc import Answer, Rpc

CONTRACT = Path(__file__).parents[2] / "docs" / "contract"
DIRECT = "amq.rabbitmq.reply-to"


def assert_fits_the_contract(answer: Answer) -> None:
    """The reply validates against the committed JSON Schema and carries the documented properties."""
    schema: dict[str, Any] = json.loads((CONTRACT / "reply.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(answer.body)
    properties = answer.properties
    assert properties.app_id == "sttd"
    assert properties.content_type == "application/json"
    assert properties.message_id
    assert properties.headers["stt-reply-id"]
    assert properties.type in {"stt.transcript.v1", "stt.failure.v1"}


@pytest.mark.parametrize("reply_to", ["", DIRECT], ids=["exclusive queue", "direct reply-to"])
def test_raw_bytes_with_a_correlation_id_come_back_as_text(
    shared_daemon: DaemonProcess, shared_broker: Broker, reply_to: str
) -> None:
    """The RPC pattern of pika and RabbitMQ's pseudo queue both work, in any language, with no code of ours."""
    with Rpc(shared_broker.amqp_url, reply_to) as client:
        answer = client.ask(note(text=GROCERIES).path.read_bytes(), correlation_id="1", message_id="m-1")

        assert_fits_the_contract(answer)
        assert answer.properties.correlation_id == "1"
        assert spoken(answer.body["text"]) == spoken(GROCERIES)
        assert answer.body["language"] == "ru"
        assert answer.body["message_id"] == "m-1"
        assert answer.body["model"]["name"] == second_engine.model()
        assert shared_daemon.ready()
    assert shared_broker.depth("stt.dead") == shared_broker.depth("stt.replies.dead") == 0


@pytest.mark.usefixtures("shared_daemon")
async def test_without_reply_to_the_answer_is_in_the_default_reply_queue(shared_broker: Broker) -> None:
    """A bot with two queue names and nothing else can use the daemon."""
    shared_broker.publish(
        "stt.requests", note(text=GROCERIES).path.read_bytes(), correlation_id="note-7", delivery_mode=2
    )

    await wait_until(lambda: shared_broker.depth("stt.replies"))

    [message] = shared_broker.take("stt.replies")
    assert message.properties.correlation_id == "note-7"
    assert message.properties.delivery_mode == 2
    assert spoken(message.json()["text"]) == spoken(GROCERIES)


@second_engine.left_out(second_engine.LANGUAGE)
@pytest.mark.usefixtures("shared_daemon")
def test_two_callers_with_the_same_correlation_id_each_get_their_own_answer(shared_broker: Broker) -> None:
    """Many clients count 1, 2, 3: correlation ids are the caller's, not ours."""
    russian, english = note(text=GROCERIES), note(language="en")
    with Rpc(shared_broker.amqp_url) as first, Rpc(shared_broker.amqp_url) as second:
        first.send(russian.path.read_bytes(), correlation_id="1")
        second.send(english.path.read_bytes(), correlation_id="1", headers={"stt-language": "en"})

        [to_first], [to_second] = first.collect(1), second.collect(1)

    assert spoken(to_first.body["text"]) == spoken(russian.text)
    assert spoken(to_second.body["text"]) == spoken(english.text)
    assert to_second.body["language"] == "en"


@pytest.mark.usefixtures("shared_daemon")
def test_silence_is_an_answer_and_not_an_error(shared_broker: Broker) -> None:
    """An empty voice note ends in `no_speech`, with empty text and no invented words."""
    with Rpc(shared_broker.amqp_url) as client:
        answer = client.ask(note(expect="no_speech").path.read_bytes(), correlation_id="quiet")

    assert_fits_the_contract(answer)
    assert answer.body["status"] == "completed"
    assert answer.body["no_speech"] is True
    assert answer.body["text"] == ""
    assert answer.body["segments"] == []


@pytest.mark.usefixtures("shared_daemon")
def test_word_timestamps_and_progress_arrive_when_asked_for(shared_broker: Broker) -> None:
    """Options travel as headers; progress comes before the transcript, which is the last message."""
    long_note = max((sample for sample in (note(), note(text=GROCERIES))), key=lambda sample: len(sample.text))
    with Rpc(shared_broker.amqp_url) as client:
        client.send(
            long_note.path.read_bytes(),
            correlation_id="w",
            headers={"stt-word-timestamps": "true", "stt-progress": True},
        )
        while not client.answers or client.answers[-1].body["status"] == "progress":
            client.collect(len(client.answers) + 1)

    last = client.answers[-1]
    words = [word for segment in last.body["segments"] for word in segment["words"]]
    assert [spoken(word["word"])[0] for word in words] == spoken(long_note.text)
    assert all(0 <= word["start"] <= word["end"] <= last.body["duration"] for word in words)
    assert {answer.properties.type for answer in client.answers[:-1]} <= {"stt.progress.v1"}


@pytest.mark.slow("a daemon of its own")
async def test_no_work_is_done_for_a_requester_who_has_gone(start_daemon: Any, broker: Broker) -> None:
    """A note whose direct reply-to is gone costs no engine time; the answer is parked."""
    with Rpc(broker.amqp_url, DIRECT) as client:
        daemon: DaemonProcess = start_daemon().wait_ready()
        assert spoken(client.ask(note(text=GROCERIES).path.read_bytes(), correlation_id="here").body["text"]) == spoken(
            GROCERIES
        )
        assert daemon.stop() == 0
        client.send(note(text=GROCERIES).path.read_bytes(), correlation_id="gone")
        client.flush()
    second: DaemonProcess = start_daemon().wait_ready()

    await wait_until(lambda: broker.depth("stt.replies.dead") == 1)

    [parked] = broker.take("stt.replies.dead")
    assert (parked.properties.correlation_id, parked.json()["error"]["code"]) == ("gone", "cancelled")
    assert second.counted("sttd_stage_duration_seconds_count", stage="transcribe") == 0
    assert broker.depth("stt.requests") == 0
