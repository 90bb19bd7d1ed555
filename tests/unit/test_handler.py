"""The way of one message, outcome by outcome, on a memory broker that records every step.

`steps` are compared whole: what replaces the message is confirmed first, then it is acked, and nothing else happens.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sttd.consumer.bus.seam import Outgoing
from sttd.consumer.errors import AudioRejected, ModelFailed, RequestFailed, StaleDelivery
from sttd.consumer.refs.references import References
from sttd.consumer.request.settlement import State
from sttd.consumer.request.verdict import Verdict
from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reference import Reference
from sttd.schemas.reply import REPLY, Failure, Progress, Transcript
from sttd.schemas.request import Properties
from tests.support.fakes import (
    DIRECT_ADDRESS,
    HEARD,
    SILENCE,
    SOUND,
    Desk,
    FakeDecoder,
    FakeTranscriber,
)
from tests.support.memory_bus import Fault, MemoryBroker, Stored
from tests.support.object_store import FakeStore

pytestmark = pytest.mark.virtual_time

LAST = {names.ATTEMPT_HEADER: 4}
NOTE = {"reply_to": "bot", "correlation_id": "1", "message_id": "m-1"}

ANSWERED = [("publish", "bot"), ("confirm", "bot"), ("ack", "stt.requests")]
COPIED = {
    exchange: [("publish", exchange), ("confirm", exchange), ("ack", "stt.requests")]
    for exchange in (*names.RETRY_QUEUES, "stt.dlx")
}


@pytest.fixture
async def desk() -> Desk:
    """A handler on a broker with the daemon's topology and a caller's queue `bot`."""
    broker = MemoryBroker.with_topology()
    broker.declare("bot")
    return Desk(broker)


def ask(desk: Desk, body: bytes = b"audio", malformed: str | None = None, **properties: Any) -> None:
    """Put a request into the interactive lane."""
    desk.broker.send("stt.requests", body, Properties(**(NOTE | properties)), malformed=malformed)


def answer(stored: Stored) -> Transcript | Failure | Progress:
    """The reply in a message."""
    return REPLY.validate_json(stored.body)


def failure(stored: Stored) -> Failure:
    """The failure in a message."""
    found = answer(stored)
    assert isinstance(found, Failure)
    return found


def transcript(desk: Desk) -> Transcript:
    """The one reply, a transcript."""
    found = answer(desk.only("bot"))
    assert isinstance(found, Transcript)
    return found


async def test_a_transcribed_note_is_answered_and_then_acked(desk: Desk) -> None:
    """A reply for each request, and the three fields of the old service at the top of the answer."""
    ask(desk)

    verdict = await desk.handle()

    assert (verdict.outcome, desk.broker.steps) == ("completed", ANSWERED)
    told = json.loads(desk.only("bot").body)
    assert (told["text"], told["language"], told["duration"]) == ("привет", "ru", 1.0)
    assert (told["correlation_id"], told["message_id"], told["attempt"], told["worker"]) == ("1", "m-1", 1, "worker-1")
    assert (told["no_speech"], told["status"]) == (False, "completed")
    assert desk.decoder.seen == [b"audio"]


async def test_without_reply_to_the_answer_goes_to_the_default_queue(desk: Desk) -> None:
    """The contract, section 3."""
    ask(desk, reply_to=None)

    await desk.handle()

    assert isinstance(answer(desk.only("stt.replies")), Transcript)


async def test_silence_is_an_answer_not_an_error(desk: Desk) -> None:
    """`no_speech: true`, `text: ""`."""
    desk.transcriber = FakeTranscriber(SILENCE)
    ask(desk)

    await desk.handle()

    told = transcript(desk)
    assert (told.no_speech, told.text, told.segments) == (True, "", [])


async def test_options_and_defaults_reach_the_engine(desk: Desk) -> None:
    """The settings give the defaults of a request."""
    ask(desk, headers={"stt-language": "en", "stt-temperature": "0.4", "stt-word-timestamps": "true"})
    ask(desk)

    await desk.handle()
    await desk.handle()

    asked, default = (job.options for job in desk.transcriber.jobs)
    assert (asked.language, asked.default_language, asked.temperature, asked.word_timestamps) == ("en", "ru", 0.4, True)
    assert (default.language, default.beam_size, default.temperature) == ("ru", 5, None)


async def test_what_the_engine_cannot_do_is_refused_before_any_work(desk: Desk) -> None:
    """A caller who asks for a translation must not get Russian text, and a large file need not be decoded for it."""
    desk.transcriber.able = replace(desk.transcriber.able, engine="onnx", translates=False)
    ask(desk, headers={"stt-task": "translate"})

    await desk.handle()

    told = failure(desk.only("bot")).error
    assert (told.code, told.retryable) == ("bad_request", False)
    assert told.message.startswith("task: the engine onnx with the model fake does not translate; ask for transcribe")
    assert desk.decoder.seen == []


async def test_the_answer_names_the_options_that_changed_nothing(desk: Desk) -> None:
    """Whoever sends names to prefer learns that this engine has no use for them."""
    desk.transcriber.able = replace(desk.transcriber.able, hints=frozenset({"beam_size"}))
    ask(desk, headers={"stt-hotwords": "Acme.", "stt-beam-size": "3", "stt-temperature": "0"})

    await desk.handle()

    told = transcript(desk)
    assert told.ignored == ["hotwords", "temperature"]


SPOKEN = ((" С меня двадцать", 0.0, 1.0), (" пять рублей.", 1.0, 2.0), (" Спасибо!", 2.0, 2.5))


@pytest.mark.parametrize(
    ("headers", "language", "texts", "raw"),
    [
        ({"stt-numerals": "digits"}, "ru", [" С меня 25", " рублей.", " Спасибо!"], True),
        ({"stt-numerals": "words"}, "ru", [text for text, *_ in SPOKEN], True),
        ({"stt-numerals": "digits"}, "uk", [text for text, *_ in SPOKEN], True),
        ({"stt-numerals": "digits", "stt-task": "translate"}, "ru", [text for text, *_ in SPOKEN], True),
        ({}, "ru", [text for text, *_ in SPOKEN], False),
    ],
)
async def test_numbers_are_written_as_asked_and_what_was_heard_stands_beside(
    desk: Desk, headers: dict[str, str], language: str, texts: list[str], raw: bool
) -> None:
    """Issue 17: `text` is the result, `raw_text` what was heard; segments keep their times."""
    (one,) = HEARD.segments[:1]
    segments = [one.model_copy(update={"text": text, "start": start, "end": end}) for text, start, end in SPOKEN]
    desk.transcriber = FakeTranscriber(replace(HEARD, segments=segments, language=language))
    ask(desk, headers=headers)

    await desk.handle()

    told = transcript(desk)
    assert [segment.text for segment in told.segments] == texts
    assert (told.text, told.raw_text) == (
        "".join(texts).strip(),
        "С меня двадцать пять рублей. Спасибо!" if raw else None,
    )
    assert [(segment.start, segment.end) for segment in told.segments] == [(start, end) for _, start, end in SPOKEN]


async def test_a_transcript_is_as_sure_as_its_text(desk: Desk) -> None:
    """One number for the whole: a bot asks its user again without reading segments."""
    (one,) = HEARD.segments[:1]
    desk.transcriber = FakeTranscriber(replace(HEARD, segments=[one.model_copy(update={"confidence": 0.7})]))
    ask(desk)

    await desk.handle()

    told = transcript(desk)
    assert told.confidence == 0.7


@pytest.mark.parametrize(("headers", "default", "dropping"), [
    ({}, "keep", False),
    ({}, "drop", True),
    ({"stt-doubtful": "keep"}, "drop", False),
    ({"stt-doubtful": "drop"}, "keep", True),
])  # fmt: skip
async def test_what_is_dropped_stands_beside_the_text(
    desk: Desk, headers: dict[str, str], default: Any, dropping: bool
) -> None:
    """Issue 17: dropped text is reported, never silently lost. The request decides, else the operator."""
    (one,) = HEARD.segments[:1]
    invented = one.model_copy(update={"id": 1, "text": " Продолжение следует..."})
    desk.transcriber = FakeTranscriber(replace(HEARD, dropped=[invented]))
    desk.defaults = replace(desk.defaults, doubtful=default)
    ask(desk, headers=headers)

    await desk.handle()

    told = transcript(desk)
    assert (told.text, told.dropped) == (HEARD.text, [invented])
    assert desk.transcriber.jobs[0].options.drop_doubtful is dropping


@pytest.mark.parametrize(
    ("body", "properties", "code"),
    [
        (b"audio", {"headers": {"stt-nonsense": "1"}}, "bad_request"),
        (b"{}", {"content_type": "application/json"}, "bad_request"),
        (b"audio", {"content_encoding": "gzip"}, "bad_request"),
        (b"", {}, "audio_empty"),
        (b"x" * 1001, {}, "body_too_large"),
    ],
)
async def test_what_breaks_the_contract_is_answered_at_once(
    desk: Desk, body: bytes, properties: dict[str, Any], code: str
) -> None:
    """A permanent failure: the caller is answered, nothing is copied, the decoder never sees it."""
    ask(desk, body, **properties)

    verdict = await desk.handle()

    assert (verdict.outcome, desk.broker.steps) == ("failed", ANSWERED)
    told = failure(desk.only("bot"))
    assert (told.error.code, told.error.retryable) == (code, False)
    assert desk.decoder.calls == 0


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.UNSUPPORTED_MEDIA,
        ErrorCode.AUDIO_UNREADABLE,
        ErrorCode.NO_AUDIO_STREAM,
        ErrorCode.AUDIO_EMPTY,
        ErrorCode.AUDIO_TOO_LONG,
    ],
)
async def test_audio_that_is_at_fault_is_answered_at_once(desk: Desk, code: ErrorCode) -> None:
    """No retry can help."""
    desk.decoder = FakeDecoder(AudioRejected(code, "no", {"format": "mp3"}))
    ask(desk)

    await desk.handle()

    told = failure(desk.only("bot"))
    assert (desk.broker.steps, told.error.code, told.error.details) == (ANSWERED, code, {"format": "mp3"})


@pytest.mark.parametrize(
    "error",
    [
        ModelFailed("the model raised"),
        RequestFailed(ErrorCode.INTERNAL_ERROR, "x"),
        KeyError("a bug"),
        TimeoutError("not ours"),
    ],
)
async def test_transient_failures_go_through_three_tiers_and_end_with_an_answer_and_a_dead_copy(
    desk: Desk, error: Exception
) -> None:
    """10 s, 60 s, 600 s, then `stt.dead`: bounded, and one answer, at the end. Bugs of ours included."""
    desk.transcriber = FakeTranscriber(error)
    ask(desk)

    for tier in names.RETRY_QUEUES:
        assert (await desk.handle()).outcome == "retried"
        assert desk.broker.steps == COPIED[tier]
        assert desk.empty("bot")
        desk.broker.steps.clear()
        desk.broker.queues["stt.requests"].ready.append(
            desk.broker.queues[tier].ready.popleft()
        )  # its delay has passed
    verdict = await desk.handle()

    assert verdict.outcome == "failed"
    assert desk.broker.steps == [*ANSWERED[:2], *COPIED["stt.dlx"]]
    told = failure(desk.only("bot"))
    assert (told.error.retryable, told.attempt, told.message_id) == (True, 4, "m-1")
    assert desk.only("stt.dead").headers[names.REASON_HEADER] == "retries_exhausted"
    assert desk.only("stt.dead").body == b"audio"


async def test_a_success_on_a_later_try_says_which_it_was(desk: Desk) -> None:
    """Operators and callers see that a note needed more than one try."""
    ask(desk, headers={names.ATTEMPT_HEADER: 3})

    await desk.handle()

    told = transcript(desk)
    assert told.attempt == 3


async def test_the_daemons_own_limit_answers_timed_out_and_keeps_a_dead_copy(desk: Desk) -> None:
    """Not retried: the next try would take as long. The limit counts from the delivery."""
    desk.decoder.hold()
    ask(desk)
    desk.rules = replace(desk.rules, job_seconds=30)

    verdict = await desk.handle()

    assert (verdict.outcome, verdict.code) == ("failed", "timed_out")
    assert desk.broker.steps == [*ANSWERED[:2], *COPIED["stt.dlx"]]
    assert (failure(desk.only("bot")).error.code, desk.decoder.cancelled) == ("timed_out", 1)
    assert desk.only("stt.dead").headers[names.REASON_HEADER] == "timed_out"


async def test_an_expiration_that_passed_in_the_queue_is_answered_without_any_work(desk: Desk) -> None:
    """The broker may deliver an expired message (a documented race); no engine time is spent on it."""
    ask(desk, expiration=1.0, timestamp=datetime.now(UTC) - timedelta(seconds=5))

    await desk.handle()

    assert (desk.broker.steps, failure(desk.only("bot")).error.code, desk.decoder.calls) == (ANSWERED, "expired", 0)


@pytest.mark.parametrize("stage", ["decoder", "transcriber"])
async def test_a_deadline_that_passes_during_the_work_stops_it(desk: Desk, stage: str) -> None:
    """`expired`, never a late transcript, and the slot is free again."""
    fake = getattr(desk, stage)
    fake.hold()
    ask(desk, headers={"stt-deadline": (datetime.now(UTC) + timedelta(seconds=20)).isoformat()})

    await desk.handle()

    assert (desk.broker.steps, failure(desk.only("bot")).error.code, fake.cancelled) == (ANSWERED, "expired", 1)


async def test_the_expiry_outlives_a_retry(desk: Desk) -> None:
    """The copy carries it, and the next try refuses what is too late by then."""
    desk.transcriber = FakeTranscriber(ModelFailed("x"), HEARD)
    sent = datetime.now(UTC)
    ask(desk, expiration=60.0, timestamp=sent)
    await desk.handle()
    copy = desk.broker.queues["stt.retry.10s"].ready.popleft()
    expires = copy.headers[names.EXPIRES_HEADER]
    assert expires == int((sent + timedelta(seconds=60)).timestamp() * 1000)
    headers = {**copy.headers, names.EXPIRES_HEADER: expires - 60_000}  # a minute later
    copy.properties = replace(copy.properties, headers=headers)
    desk.broker.queues["stt.requests"].ready.append(copy)

    await desk.handle()

    assert failure(desk.only("bot")).error.code == "expired"


@pytest.mark.parametrize(
    "target", ["stt.requests", "stt.dead", "stt.control", "amq.rabbitmq.log", "amq.rabbitmq.reply-to"]
)
async def test_a_forbidden_target_gets_nothing_and_the_request_a_dead_copy(desk: Desk, target: str) -> None:
    """Nothing at all is published there, not even the refusal; and no engine time is spent."""
    ask(desk, reply_to=target)

    verdict = await desk.handle()

    assert (verdict.outcome, desk.broker.steps) == ("dead_lettered", COPIED["stt.dlx"])
    headers = desk.only("stt.dead").headers
    assert (headers[names.REASON_HEADER], headers[names.ERROR_CODE_HEADER]) == ("bad_reply_to", "bad_reply_to")
    assert desk.decoder.calls == 0


async def test_a_target_that_the_broker_refuses_us_ends_in_a_dead_copy(desk: Desk) -> None:
    """No retry can change our rights."""
    desk.broker.fail("bot", Fault.FORBIDDEN)
    ask(desk)

    verdict = await desk.handle()

    assert (verdict.code, desk.broker.steps) == ("bad_reply_to", [("publish", "bot"), *COPIED["stt.dlx"]])


async def test_malformed_properties_end_in_a_dead_copy_with_the_raw_body(desk: Desk) -> None:
    """There is no address for an answer; the operator finds the bytes and the reason."""
    desk.broker.send("stt.requests", b"audio", Properties(), malformed="ValueError: year 57862 is out of range")

    verdict = await desk.handle()

    assert (verdict.outcome, desk.broker.steps) == ("dead_lettered", COPIED["stt.dlx"])
    dead = desk.only("stt.dead")
    assert (dead.body, dead.headers[names.REASON_HEADER]) == (b"audio", "malformed")
    assert dead.headers[names.ERROR_CODE_HEADER] == "malformed"


async def test_an_unroutable_reply_is_parked_before_the_ack(desk: Desk) -> None:
    """Its queue is gone: the finished answer is kept, and the request is done with."""
    ask(desk, reply_to="gone")

    verdict = await desk.handle()

    assert verdict.outcome == "completed"
    assert desk.broker.steps == [
        ("publish", "gone"),
        ("publish", "stt.replies.dead"),
        ("confirm", "stt.replies.dead"),
        ("ack", "stt.requests"),
    ]
    parked = desk.only("stt.replies.dead")
    assert isinstance(answer(parked), Transcript)
    assert parked.headers["sttd-reply-to"] == "gone"


async def test_a_direct_reply_is_published_once(desk: Desk) -> None:
    """It is not parked as well: the caller's answer would be in two places."""
    ask(desk, reply_to=DIRECT_ADDRESS)

    await desk.handle()

    assert desk.broker.steps == [("publish", DIRECT_ADDRESS), ("confirm", DIRECT_ADDRESS), ("ack", "stt.requests")]
    assert len(desk.broker.direct[DIRECT_ADDRESS]) == 1


async def test_a_direct_reply_to_a_requester_who_has_gone_is_parked(desk: Desk) -> None:
    """Who left while the work went on can still be given the answer by an operator."""
    desk.broker.left.add(DIRECT_ADDRESS)
    ask(desk, reply_to=DIRECT_ADDRESS)

    verdict = await desk.handle()

    assert verdict.outcome == "completed"
    assert desk.only("stt.replies.dead").headers["sttd-reply-to"] == DIRECT_ADDRESS


@pytest.mark.parametrize("fault", [Fault.NACK, Fault.HANG])
async def test_an_unconfirmed_reply_is_published_again_until_it_is_confirmed(desk: Desk, fault: Fault) -> None:
    """The work is done; a broker with a hiccup must not cost a second transcription."""
    desk.broker.fail("bot", fault, times=2)
    ask(desk)

    verdict = await desk.handle()

    assert (verdict.outcome, desk.broker.steps) == ("completed", [("publish", "bot")] * 2 + ANSWERED)
    assert desk.transcriber.calls == 1


async def test_a_reply_that_stays_unconfirmed_sends_the_request_into_retry(desk: Desk) -> None:
    """After a minute of trying (a full reply queue, for example) another request gets the slot."""
    desk.broker.fail("bot", Fault.NACK)
    ask(desk)

    verdict = await desk.handle()

    assert verdict.outcome == "retried"
    publishes = [step for step in desk.broker.steps if step == ("publish", "bot")]
    assert len(publishes) >= 2
    assert desk.broker.steps == publishes + COPIED["stt.retry.10s"]


async def test_a_reply_unconfirmed_on_the_last_try_ends_in_a_dead_copy(desk: Desk) -> None:
    """Never nothing: the caller cannot be reached, the operator can."""
    desk.broker.fail("bot", Fault.NACK)
    ask(desk, headers=LAST)

    verdict = await desk.handle()

    assert (verdict.outcome, desk.broker.steps[-3:]) == ("dead_lettered", COPIED["stt.dlx"])


async def test_a_copy_is_insisted_on_for_as_long_as_it_takes(desk: Desk) -> None:
    """There is nothing else to do with the message: giving up would need an ack that nothing justifies."""
    desk.broker.fail("stt.retry.10s", Fault.NACK, times=20)
    desk.transcriber = FakeTranscriber(ModelFailed("x"))
    ask(desk)

    await desk.handle()

    assert desk.broker.steps == [("publish", "stt.retry.10s")] * 20 + COPIED["stt.retry.10s"]


@pytest.mark.parametrize("cause", ["exchange unbound", "forbidden"])
async def test_without_a_retry_queue_the_caller_is_told_and_a_dead_copy_kept(desk: Desk, cause: str) -> None:
    """An operator has deleted the retry queue, or taken our right to it.

    No try can follow, so this failure is the answer.
    """
    if cause == "forbidden":
        desk.broker.fail("stt.retry.10s", Fault.FORBIDDEN)
    else:
        desk.broker._bindings["stt.retry.10s"].clear()
    desk.transcriber = FakeTranscriber(ModelFailed("x"))
    ask(desk)

    verdict = await desk.handle()

    assert (verdict.outcome, verdict.code, verdict.dead_reason) == ("failed", "model_error", "retries_exhausted")
    assert failure(desk.only("bot")).error.code == "model_error"
    assert desk.only("stt.dead").headers["sttd-reason"] == "retries_exhausted"
    assert desk.broker.steps[-1] == ("ack", "stt.requests")


async def test_without_a_retry_queue_and_without_a_confirm_the_request_ends_in_the_dead_letters(desk: Desk) -> None:
    """The answer that there is no other try must not itself lead to another try: that was endless."""
    desk.broker._bindings["stt.retry.10s"].clear()
    desk.broker.fail("bot", Fault.NACK)
    desk.transcriber = FakeTranscriber(ModelFailed("x"))
    ask(desk)

    async with asyncio.timeout(5):
        verdict = await desk.handle()

    assert (verdict.outcome, verdict.dead_reason) == ("dead_lettered", "retries_exhausted")
    assert desk.broker.steps[-3:] == COPIED["stt.dlx"]


async def test_when_no_copy_can_be_published_the_broker_dead_letters_the_request(desk: Desk) -> None:
    """The last resort: rejected without requeue, so that it is in `stt.dead` and never lost or looping."""
    for exchange in ("stt.retry.10s", "stt.dlx"):
        desk.broker.fail(exchange, Fault.FORBIDDEN)
    desk.transcriber = FakeTranscriber(ModelFailed("x"))
    ask(desk)

    verdict = await desk.handle()

    assert (verdict.outcome, verdict.dead_reason) == ("dead_lettered", "unpublishable")
    assert desk.broker.steps[-1] == ("reject", "stt.requests")
    assert desk.only("stt.dead").body == b"audio"


async def test_a_reply_that_can_be_neither_delivered_nor_parked_ends_in_the_dead_letters(desk: Desk) -> None:
    """An operator has deleted `stt.replies.dead`: even then the request is kept."""
    del desk.broker.queues["stt.replies.dead"]
    ask(desk, reply_to="gone")

    await desk.handle()

    assert desk.broker.steps[-1] == ("reject", "stt.requests")
    assert desk.only("stt.dead").body == b"audio"


def _last(desk: Desk) -> str:
    ready = desk.broker.queues["bot"].ready
    return ready[-1].body.decode() if ready else ""


@pytest.mark.parametrize(
    "outcome",
    [HEARD, ModelFailed("broken"), RequestFailed(ErrorCode.BAD_REQUEST, "no such language")],
    ids=lambda o: type(o).__name__,
)
async def test_the_room_that_a_long_note_held_is_free_before_its_answer_goes_out(desk: Desk, outcome: Any) -> None:
    """The room is released, whatever becomes of the note.

    Held for ever, no long note would be decoded again; held while a reply waits, they would wait with it.
    """
    released: list[list[Any]] = []
    desk.decoder = FakeDecoder(replace(SOUND, release=lambda: released.append(list(desk.broker.steps))))
    desk.transcriber = FakeTranscriber(outcome)
    ask(desk)

    await desk.handle()

    assert released == [[]]


def reporting(desk: Desk, *progress: tuple[float, str]) -> tuple[asyncio.Event, asyncio.Task[Verdict]]:
    """A request whose engine reports this progress and goes on at the event; and the work on it."""
    desk.transcriber = FakeTranscriber(progress=progress)
    release = desk.transcriber.hold()
    ask(desk, headers={"stt-progress": "true"})
    return release, asyncio.create_task(desk.handle())


async def test_progress_is_published_while_the_work_runs_and_never_after_the_answer(desk: Desk) -> None:
    """A reader may stop reading at the terminal reply."""
    release, task = reporting(desk, (0.3, "при"), (0.9, "приве"))
    await desk.broker.until(lambda: "0.9" in _last(desk))
    release.set()
    await task

    told = [answer(stored) for stored in desk.broker.queues["bot"].ready]
    assert [type(reply) for reply in told] == [Progress] * (len(told) - 1) + [Transcript]
    last = told[-2]
    assert isinstance(last, Progress)
    assert (last.fraction, last.text, last.correlation_id) == (0.9, "приве", "1")


async def test_progress_that_hangs_or_is_refused_holds_up_nothing(desk: Desk) -> None:
    """It is worth nothing late: dropped, and the answer goes out on time."""
    desk.broker.fail("bot", Fault.HANG, times=1)
    release, task = reporting(desk, (0.3, "при"))
    await desk.broker.until(lambda: ("publish", "bot") in desk.broker.steps)
    for _ in range(20):  # into the hanging publish
        await asyncio.sleep(0)
    release.set()
    await task

    assert isinstance(answer(desk.only("bot")), Transcript)


async def test_a_progress_message_on_its_way_is_withdrawn_when_the_answer_is_ready(desk: Desk) -> None:
    """Held up by a slow broker and published later, it would come after the last message."""
    slow = _SlowProgress(desk.broker.publisher().publish)
    desk.publisher = slow
    release, task = reporting(desk, (0.3, "при"))
    await slow.entered.wait()
    release.set()
    await task

    slow.release.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert isinstance(answer(desk.only("bot")), Transcript)


class _SlowProgress:
    """A publisher that holds progress messages until `release` is set."""

    def __init__(self, publish: Callable[[Outgoing], Any]) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self._publish = publish

    async def publish(self, message: Outgoing) -> None:
        if message.type == "stt.progress.v1":
            self.entered.set()
            await self.release.wait()
        await self._publish(message)


async def test_a_fraction_beyond_its_bounds_is_clamped(desk: Desk) -> None:
    """An engine's rounding must not end in an event loop error that quotes the text of the note."""
    release, task = reporting(desk, (1.0000001, "при"))
    await desk.broker.until(lambda: bool(_last(desk)))
    release.set()
    await task

    first = answer(desk.broker.queues["bot"].ready[0])
    assert isinstance(first, Progress)
    assert first.fraction == 1.0


async def test_a_cancel_that_comes_again_and_again_is_one_cancel(desk: Desk) -> None:
    """Callers repeat themselves, and the exchange is a fanout.

    The second one may come while the first is still ending the work.
    """
    desk.decoder.hold()
    ask(desk)
    task = asyncio.create_task(desk.handle())
    await desk.decoder.entered.wait()
    for _ in range(6):
        desk.cancels.add("m-1")
        await asyncio.sleep(0)
    await task

    assert (desk.broker.steps, failure(desk.only("bot")).error.code) == (ANSWERED, "cancelled")


@pytest.mark.parametrize("stage", ["decoder", "transcriber"])
async def test_cancelling_before_the_settling_leaves_the_message_alone(desk: Desk, stage: str) -> None:
    """A drain that runs out of time settles nothing: the broker delivers it again."""
    fake = getattr(desk, stage)
    fake.hold()
    ask(desk)
    held = desk.settlement()
    task = asyncio.create_task(desk.handle(held))
    await fake.entered.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (desk.broker.steps, fake.cancelled, held.state) == ([], 1, State.OPEN)


async def test_a_lost_connection_ends_the_insisting(desk: Desk) -> None:
    """The broker delivers the message again elsewhere: going on would only make a duplicate."""
    desk.broker.fail("bot", Fault.NACK)
    ask(desk)
    held = desk.settlement()
    held.delivery.orphaned.set()

    with pytest.raises(StaleDelivery):
        await desk.handle(held)

    assert desk.broker.steps == [("publish", "bot")]


CLAIM = {"content_type": "application/json"}
BODY = json.dumps({"audio_ref": "s3://voice/note.ogg"}).encode()


async def test_a_reference_is_fetched_decoded_and_answered(desk: Desk) -> None:
    """The decoder sees the object's bytes; the story is that of any other request."""
    store = FakeStore({Reference("voice", "note.ogg"): b"from the store"})
    desk.references = References(store, (("voice", ""),), 1000)
    ask(desk, BODY, **CLAIM)

    await desk.handle()

    assert desk.decoder.seen == [b"from the store"]
    assert desk.broker.steps == ANSWERED


async def test_a_denied_reference_is_answered_at_once(desk: Desk) -> None:
    """Permanent: no retry, no dead copy."""
    ask(desk, BODY, **CLAIM)

    await desk.handle()

    assert failure(desk.only("bot")).error.code == "audio_ref_denied"
    assert desk.broker.steps == ANSWERED


async def test_a_store_that_is_away_goes_through_the_tiers_and_ends_in_an_answer(desk: Desk) -> None:
    """As `model_error`: no answer while there are tries left, then a retryable failure and a dead copy."""
    desk.references = References(FakeStore(down=True), (("voice", ""),), 1000)
    ask(desk, BODY, **CLAIM)
    assert (await desk.handle()).outcome == "retried"
    assert desk.broker.steps == COPIED["stt.retry.10s"]

    ask(desk, BODY, headers=LAST, **CLAIM)
    await desk.handle()

    told = failure(desk.only("bot")).error
    assert (told.code, told.retryable) == ("audio_ref_unavailable", True)
    assert desk.only("stt.dead").headers[names.ERROR_CODE_HEADER] == "audio_ref_unavailable"


async def test_a_deadline_ends_a_fetch(desk: Desk) -> None:
    """The store's patience is not the caller's."""
    store = FakeStore({Reference("voice", "note.ogg"): b"x"}, held=asyncio.Event())
    desk.references = References(store, (("voice", ""),), 1000)
    ask(desk, BODY, expiration=3.0, **CLAIM)

    await desk.handle()

    assert failure(desk.only("bot")).error.code == "expired"
    assert store.reading_now == 0
