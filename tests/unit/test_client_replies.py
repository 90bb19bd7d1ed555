"""The table of pending requests: who gets which reply, and what becomes of the others."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sttd import errors
from sttd.replies import REMEMBERED, Pending, Replies
from sttd.schemas.reply import Failure, FailureDetail, Progress
from tools.messages import examples


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that never runs: futures need one."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def pending(loop: asyncio.AbstractEventLoop, message_id: str, correlation_id: str = "1") -> Pending:
    """One request that waits."""
    return Pending(message_id, correlation_id, loop.create_future())


def completed(message_id: str | None, text: str = "hello", correlation_id: str = "1") -> bytes:
    """A transcript on the wire."""
    named = {"correlation_id": correlation_id, "message_id": message_id, "text": text}
    return examples.TRANSCRIPT.model_copy(update=named).model_dump_json().encode()


def failed(message_id: str, code: str) -> bytes:
    """A failure on the wire."""
    detail = FailureDetail(code=code, message="no", retryable=False)
    return (
        Failure(correlation_id="1", message_id=message_id, error=detail, attempt=1, worker="w")
        .model_dump_json()
        .encode()
    )


def advanced(message_id: str, fraction: float) -> bytes:
    """A progress message on the wire."""
    return Progress(correlation_id="1", message_id=message_id, fraction=fraction, text="").model_dump_json().encode()


def test_a_reply_resolves_the_request_that_it_names(loop: asyncio.AbstractEventLoop) -> None:
    """Two requests share a correlation id; the message id in the reply's body decides."""
    replies, first, second = Replies(), pending(loop, "a"), pending(loop, "b")
    replies.add(first)
    replies.add(second)
    replies.take(completed("b", "for b"), correlation_id="1", reply_id="r-b")
    assert second.answer.result().text == "for b"
    assert not first.answer.done()
    assert len(replies) == 1


def test_a_late_answer_never_becomes_the_answer_to_a_newer_request_with_the_same_correlation_id(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """A caller gave up and asks again under its old id: the old text must not reach the new call."""
    replies, old, new = Replies(), pending(loop, "old"), pending(loop, "new")
    replies.add(old)
    replies.discard(old)
    replies.add(new)
    replies.take(completed("old"), correlation_id="1", reply_id="r-old")
    assert not new.answer.done()
    assert replies.dropped.late == 1


def test_duplicates_of_one_answer_are_dropped_and_counted_apart_from_late_ones(loop: asyncio.AbstractEventLoop) -> None:
    """The first terminal reply wins; its duplicate carries the same stt-reply-id."""
    replies, request = Replies(), pending(loop, "a")
    replies.add(request)
    replies.take(completed("a", "first"), correlation_id="1", reply_id="r")
    replies.take(completed("a", "second"), correlation_id="1", reply_id="r")
    replies.take(completed("stranger"), correlation_id="1", reply_id="other")
    assert request.answer.result().text == "first"
    assert (replies.dropped.duplicate, replies.dropped.late, replies.answered) == (1, 1, 1)


def test_the_memory_of_answers_is_bounded(loop: asyncio.AbstractEventLoop) -> None:
    """A bot that runs for a year remembers the ids of its last answers only."""
    replies = Replies()
    for number in range(REMEMBERED + 50):
        request = pending(loop, str(number))
        replies.add(request)
        replies.take(failed(str(number), "cancelled"), correlation_id="1", reply_id=f"r{number}")
        replies.discard(request)
    assert len(replies._recent) == REMEMBERED
    assert len(replies) == 0


def test_a_reply_without_a_message_id_is_matched_by_correlation_id_unless_that_is_ambiguous(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Another daemon may echo the correlation id only; a wrong text is worse than none."""
    replies, only, twin, other = Replies(), pending(loop, "a", "x"), pending(loop, "b", "y"), pending(loop, "c", "y")
    for request in (only, twin, other):
        replies.add(request)
    replies.take(completed(None), correlation_id="x", reply_id=None)
    replies.take(completed(None), correlation_id="y", reply_id=None)
    assert only.answer.done()
    assert not twin.answer.done()
    assert not other.answer.done()
    assert replies.dropped.late == 1


@pytest.mark.parametrize(
    ("code", "family"),
    [
        ("bad_request", errors.BadRequest),
        ("audio_unreadable", errors.RejectedAudio),
        ("expired", errors.Expired),
        ("cancelled", errors.Cancelled),
        ("poison", errors.DaemonFailed),
        ("model_error", errors.DaemonFailed),
        ("a_code_of_tomorrow", errors.TranscriptionFailed),
    ],
)
def test_a_failure_raises_the_exception_of_its_code(
    loop: asyncio.AbstractEventLoop, code: str, family: type[Exception]
) -> None:
    """A bot distinguishes "your file is broken" from "try again later" by the class."""
    replies, request = Replies(), pending(loop, "a")
    replies.add(request)
    replies.take(failed("a", code), correlation_id="1", reply_id="r")
    error = request.answer.exception()
    assert isinstance(error, errors.TranscriptionFailed)
    assert type(error) is family
    assert (error.code, error.message_id, str(error)) == (code, "a", f"{code}: no")


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"status": "resting"}', completed("a")[:-5]])
def test_a_reply_that_cannot_be_read_ends_the_wait_with_a_clear_error(
    loop: asyncio.AbstractEventLoop, body: bytes
) -> None:
    """A reply in an unknown form must not leave the caller waiting for its timeout."""
    replies, request = Replies(), pending(loop, "a")
    replies.add(request)
    replies.take(body, correlation_id="1", reply_id=None)
    assert isinstance(request.answer.exception(), errors.BadReply)
    replies.take(body, correlation_id="1", reply_id=None)
    assert replies.dropped.late == 1


def test_progress_goes_to_the_callback_and_ends_nothing(loop: asyncio.AbstractEventLoop) -> None:
    """Progress is never the last message, and a listener is optional."""
    heard: list[float] = []
    replies = Replies()
    listening = Pending("a", "1", loop.create_future(), lambda progress: heard.append(progress.fraction))
    deaf = pending(loop, "b")
    replies.add(listening)
    replies.add(deaf)
    for message_id, fraction in (("a", 0.25), ("b", 0.5), ("gone", 0.6), ("a", 0.75)):
        replies.take(advanced(message_id, fraction), correlation_id="1", reply_id=None)
    assert heard == [0.25, 0.75]
    assert not listening.answer.done()
    assert replies.dropped.late == 0


def test_an_error_in_the_callers_callback_is_told_to_the_caller(loop: asyncio.AbstractEventLoop) -> None:
    """It must neither vanish nor stop the replies of others."""
    replies = Replies()
    request = Pending("a", "1", loop.create_future(), lambda _: 1 / 0)  # type: ignore[arg-type] # raises before it returns
    replies.add(request)
    replies.take(advanced("a", 0.5), correlation_id="1", reply_id=None)
    assert isinstance(request.answer.exception(), ZeroDivisionError)


@pytest.mark.filterwarnings("error")
def test_progress_that_nobody_would_await_is_told_to_the_caller(loop: asyncio.AbstractEventLoop) -> None:
    """`lambda update: message.edit_text(update.text)` looks like a plain function; a task that it starts is fine."""

    async def edit_text() -> None:
        """Send it."""

    callback: Any
    for callback, told in ((lambda _: edit_text(), True), (lambda _: loop.create_future(), False)):
        replies, waiting = Replies(), Pending("a", "1", loop.create_future(), callback)
        replies.add(waiting)
        replies.take(advanced("a", 0.5), correlation_id="1", reply_id=None)
        assert waiting.answer.done() is told
        assert not told or isinstance(waiting.answer.exception(), errors.WrongArgument)


def test_closing_fails_everyone_who_waits(loop: asyncio.AbstractEventLoop) -> None:
    """No call hangs on a closed client."""
    replies, requests = Replies(), [pending(loop, str(number)) for number in range(3)]
    for request in requests:
        replies.add(request)
    replies.fail_all(errors.ClientClosed("closed"))
    assert all(isinstance(request.answer.exception(), errors.ClientClosed) for request in requests)
    assert len(replies) == 0


@dataclass(frozen=True)
class Step:
    """What happens to one of five requests: it is asked, answered (perhaps again), reported on, or given up."""

    kind: str
    request: int


STEPS = st.lists(
    st.builds(Step, st.sampled_from(["ask", "answer", "fail", "progress", "garble", "give up"]), st.integers(0, 4)),
    max_size=40,
)


@given(STEPS)
def test_any_interleaving_resolves_each_request_at_most_once_and_with_its_own_answer(steps: list[Step]) -> None:
    """Whatever order replies, duplicates and give-ups come in, and although all share one correlation id."""
    loop = asyncio.new_event_loop()
    replies, asked = Replies(), {number: pending(loop, str(number)) for number in range(5)}
    for step in steps:
        name, request = str(step.request), asked[step.request]
        match step.kind:
            case "ask" if not request.answer.done():
                replies.add(request)
            case "answer":
                replies.take(completed(name, f"text of {name}"), correlation_id="1", reply_id=f"r{name}")
            case "fail":
                replies.take(failed(name, "model_error"), correlation_id="1", reply_id=f"r{name}")
            case "progress":
                replies.take(advanced(name, 0.5), correlation_id="1", reply_id=None)
            case "garble":
                replies.take(b"?", correlation_id="another", reply_id=None)
            case "give up":
                replies.discard(request) if request.answer.done() or name in replies._by_message else None
    for number, request in asked.items():
        if request.answer.done() and not request.answer.cancelled():
            error = request.answer.exception()
            assert isinstance(error, errors.DaemonFailed) or request.answer.result().text == f"text of {number}"
            assert str(number) not in replies._by_message
    taken = sum(step.kind in {"answer", "fail", "garble"} for step in steps)
    assert replies.answered + replies.dropped.duplicate + replies.dropped.late == taken
    loop.close()
