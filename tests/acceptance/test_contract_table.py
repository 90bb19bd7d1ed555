"""Every request, right and wrong, ends as the table "what becomes of a request" has it, and leaves nothing behind."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from tests.support import second_engine
from tests.support.amqp_raw import POISON_PROPERTIES, publish_raw
from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note, spoken
from tests.support.rpc import Rpc

JSON = "application/json"
FORBIDDEN = tuple(
    """
    stt.requests stt.requests.bulk stt.requests.overflow stt.dead stt.suspect stt.retry.10s stt.replies.dead
    amq.direct amq.topic
    """.split()
)


@dataclass(frozen=True)
class Bad:
    """A request that breaks the contract, and the code that it must be answered with."""

    name: str
    code: str
    body: bytes = b""
    properties: dict[str, Any] = field(default_factory=dict)


def _json(audio: bytes, **options: Any) -> bytes:
    return json.dumps({"audio": base64.b64encode(audio).decode(), "options": options}).encode()


def _bad_requests(audio: bytes) -> list[Bad]:
    json_type = {"content_type": JSON}
    return [
        Bad("unknown header option", "bad_request", audio, {"headers": {"stt-volume": "11"}}),
        Bad("beam out of range", "bad_request", audio, {"headers": {"stt-beam-size": 99}}),
        Bad("language unknown", "bad_request", audio, {"headers": {"stt-language": "klingon"}}),
        Bad("boolean that is none", "bad_request", audio, {"headers": {"stt-vad": "maybe"}}),
        Bad("compressed body", "bad_request", audio, {"content_encoding": "gzip"}),
        Bad("header next to a JSON body", "bad_request", _json(audio), json_type | {"headers": {"stt-language": "ru"}}),
        Bad("JSON that is none", "bad_request", b'{"audio": ', json_type),
        Bad("not base64", "bad_request", b'{"audio": "***"}', json_type),
        Bad("unknown JSON option", "bad_request", _json(audio, volume=11), json_type),
        Bad("unknown JSON field", "bad_request", b'{"audio": "AAAA", "url": "http://127.0.0.1/"}', json_type),
        Bad("deadline two days ahead", "bad_request", audio, {"headers": {"stt-deadline": "2999-01-01T00:00:00Z"}}),
        Bad("deadline passed", "expired", audio, {"headers": {"stt-deadline": "2020-01-01T00:00:00Z"}}),
        Bad("empty body", "audio_empty"),
        Bad("empty JSON audio", "audio_empty", _json(b""), json_type),
        Bad("too large", "body_too_large", audio + bytes(400_000)),
        Bad("text", "unsupported_media", b"this is not audio, it is a sentence. " * 20),
        Bad("playlist that names a file", "unsupported_media", b"ffconcat version 1.0\nfile /etc/passwd\n"),
    ]


def test_each_bad_request_is_answered_at_once_with_its_code(start_daemon: Any, broker: Broker) -> None:
    """No input that a caller controls is lost, retried for ever or dead-lettered in silence."""
    daemon: DaemonProcess = start_daemon(max_body_bytes="300000").wait_ready()
    bad = _bad_requests(note(text=GROCERIES).path.read_bytes())

    with Rpc(broker.amqp_url) as client:
        for case in bad:
            client.send(case.body, correlation_id=case.name, **case.properties)
        answers = {answer.properties.correlation_id: answer for answer in client.collect(len(bad))}

        assert {name: answer.code for name, answer in answers.items()} == {case.name: case.code for case in bad}
        assert {answer.properties.type for answer in answers.values()} == {"stt.failure.v1"}
        assert not any(answer.body["error"]["retryable"] for answer in answers.values())
        good = client.ask(note(text=GROCERIES).path.read_bytes(), correlation_id="good")
    assert spoken(good.body["text"]) == spoken(GROCERIES)
    assert broker.depth("stt.requests") == broker.depth("stt.dead") == 0
    assert daemon.counted("sttd_requests_finished_total", outcome="failed", code="bad_request") == 11


@second_engine.left_out(second_engine.LANGUAGE)
def test_json_and_raw_requests_mean_the_same(shared_daemon: DaemonProcess, shared_broker: Broker) -> None:
    """The JSON form is for clients that cannot set headers; content types of raw bodies are not believed."""
    sample = note(language="en")
    audio = sample.path.read_bytes()
    with Rpc(shared_broker.amqp_url) as client:
        client.send(
            _json(audio, language="en", beam_size=3),
            content_type="application/json; charset=utf-8",
            correlation_id="json",
        )
        client.send(
            audio, content_type="image/png", headers={"stt-language": "en", "stt-beam-size": "3"}, correlation_id="raw"
        )
        client.send(audio, headers={"stt-language": "auto", "stt-languages": "ru, en"}, correlation_id="auto")
        answers = {answer.properties.correlation_id: answer.body for answer in client.collect(3)}

    assert (
        spoken(answers["json"]["text"])
        == spoken(answers["raw"]["text"])
        == spoken(answers["auto"]["text"])
        == spoken(sample.text)
    )
    assert answers["auto"]["language"] == "en"
    assert shared_daemon.ready()


async def test_a_forbidden_reply_to_is_dead_lettered_with_its_reason(
    shared_daemon: DaemonProcess, shared_broker: Broker
) -> None:
    """No caller can make the daemon write into its own queues or into the broker's exchanges."""
    audio = note(text=GROCERIES).path.read_bytes()
    for target in FORBIDDEN:
        shared_broker.publish("stt.requests", audio, reply_to=target, correlation_id=target)

    await wait_until(lambda: shared_broker.depth("stt.dead") == len(FORBIDDEN))

    dead = shared_broker.take("stt.dead", len(FORBIDDEN))
    assert {message.properties.correlation_id for message in dead} == set(FORBIDDEN)
    assert {message.headers["sttd-reason"] for message in dead} == {"bad_reply_to"}
    assert all(message.body == audio for message in dead)
    for queue in "stt.requests stt.requests.bulk stt.suspect stt.retry.10s stt.replies.dead stt.replies".split():
        assert shared_broker.depth(queue) == 0
    assert shared_daemon.counted("sttd_dead_letters_total", reason="bad_reply_to") == len(FORBIDDEN)


async def test_a_reply_that_nobody_can_receive_is_parked(shared_daemon: DaemonProcess, shared_broker: Broker) -> None:
    """The work is not lost when the caller's queue is gone: the finished reply waits in stt.replies.dead."""
    shared_broker.publish(
        "stt.requests", note(text=GROCERIES).path.read_bytes(), reply_to="gone", correlation_id="late"
    )

    await wait_until(lambda: shared_broker.depth("stt.replies.dead"))

    [parked] = shared_broker.take("stt.replies.dead")
    assert spoken(parked.json()["text"]) == spoken(GROCERIES)
    assert parked.properties.correlation_id == "late"
    assert parked.headers["sttd-reply-to"] == "gone"
    assert shared_broker.depth("stt.requests") == shared_broker.depth("stt.dead") == 0
    assert shared_daemon.ready()


async def test_poison_properties_between_good_notes_harm_nobody(
    shared_daemon: DaemonProcess, shared_broker: Broker
) -> None:
    """A timestamp in microseconds kills a stock aio-pika connection; here it ends in stt.dead, others are answered."""
    audio = note(text=GROCERIES).path.read_bytes()
    with Rpc(shared_broker.amqp_url) as client:
        client.send(audio, correlation_id="before")
        for flags, properties in POISON_PROPERTIES.values():
            publish_raw(shared_broker.amqp_url, "stt.requests", audio, flags, properties)
        client.send(audio, correlation_id="after")
        answers = client.collect(2)

    assert {answer.properties.correlation_id for answer in answers} == {"before", "after"}
    await wait_until(lambda: shared_broker.depth("stt.dead") == len(POISON_PROPERTIES))
    dead = shared_broker.take("stt.dead", len(POISON_PROPERTIES))
    assert {message.headers["sttd-reason"] for message in dead} == {"malformed"}
    assert all(message.body == audio for message in dead)
    assert shared_daemon.lines("bus_lost") == []
    assert shared_daemon.metric("sttd_connection_losses_total", role="consume") == 0


async def test_forged_direct_reply_addresses_cost_nobody_else_an_answer(
    shared_daemon: DaemonProcess, shared_broker: Broker
) -> None:
    """A check of the first closes that connection (541) on 3.10 and 4.3; the second no broker can have given."""
    audio = note(text=GROCERIES).path.read_bytes()
    forged = [
        "amq.rabbitmq.reply-to.g1h2AA5yZXBseUA3MTA1ODk2NAAAAxoAAAAAawMf7A==.5RYRKND8ZKMkpJ7oMmYF0w==",
        "amq.rabbitmq.reply-to.X.Y",
    ]
    with Rpc(shared_broker.amqp_url) as queued, Rpc(shared_broker.amqp_url, "amq.rabbitmq.reply-to") as direct:
        for number in range(4):
            shared_broker.publish("stt.requests", audio, reply_to=forged[number % 2], correlation_id=f"forged-{number}")
            queued.send(audio, correlation_id=str(number))
            direct.send(audio, correlation_id=str(number))

        assert {answer.properties.correlation_id for answer in queued.collect(4)} == set("0123")
        assert {answer.properties.correlation_id for answer in direct.collect(4)} == set("0123")
    await wait_until(
        lambda: shared_broker.depth("stt.requests") == 0 and shared_daemon.metric("sttd_requests_in_flight") == 0
    )
    assert shared_daemon.metric("sttd_connection_losses_total", role="publish") == 0
    assert shared_daemon.metric("sttd_connection_losses_total", role="consume") == 0
    parked = shared_broker.take("stt.replies.dead", 10)
    assert {message.properties.correlation_id for message in parked} == {"forged-0", "forged-2"}
    dead = shared_broker.take("stt.dead", 10)
    assert {message.properties.correlation_id for message in dead} == {"forged-1", "forged-3"}
    assert {message.headers["sttd-reason"] for message in dead} == {"bad_reply_to"}
