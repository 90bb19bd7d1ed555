"""The breaker: what opens it, what failures cost while it is open, and how it closes."""

import asyncio
from functools import partial

import pytest

from sttd.consumer.errors import AudioRejected, ModelFailed
from sttd.consumer.request import breaker
from sttd.consumer.request.breaker import LONGEST, PAUSES, Breaker
from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.schemas.request import Properties
from tests.support.fakes import HEARD, Desk, FakeDecoder, FakeTranscriber
from tests.support.memory_bus import MemoryBroker, Stored

pytestmark = pytest.mark.virtual_time

SICK = ModelFailed("the model failed")
LOST = AudioRejected(ErrorCode.AUDIO_UNREADABLE, "the decoder died", {"decoder": "died", "tries": 2})


@pytest.fixture
async def desk() -> Desk:
    """A sick engine behind a breaker that opens at three failures."""
    told: list[tuple[bool, str]] = []
    desk = Desk(MemoryBroker.with_topology(), transcriber=FakeTranscriber(SICK))
    desk.breaker = Breaker(3, lambda is_open, why: told.append((is_open, why)))
    return desk


async def handle(desk: Desk, *bodies: bytes) -> list[int]:
    """Bring one request with each body to its end; the attempts that their retry copies are marked with."""
    for body in bodies:
        desk.broker.send(names.REQUESTS, body, Properties(message_id="m-1"))
        await desk.handle()
    copies = [copy for queue in names.RETRY_QUEUES for copy in _taken(desk, queue)]
    return [copy.properties.headers[names.ATTEMPT_HEADER] for copy in copies]


def _taken(desk: Desk, queue: str) -> list[Stored]:
    taken = list(desk.broker.queues[queue].ready)
    desk.broker.queues[queue].ready.clear()
    return taken


async def test_failures_of_different_requests_open_it_and_cost_no_try_from_then_on(desk: Desk) -> None:
    """The third failure shows that the worker is sick: it and those after it keep their tries."""
    assert await handle(desk, b"a", b"b") == [2, 2]
    assert not desk.breaker.open
    assert await handle(desk, b"c", b"d") == [1, 1]
    assert desk.breaker.open


async def test_one_request_again_and_again_does_not_open_it(desk: Desk) -> None:
    """A note that no model can read says nothing about the worker, in whatever try."""
    assert await handle(desk, *[b"a"] * 6) == [2] * 6
    assert not desk.breaker.open


@pytest.mark.parametrize("where", [0, -1])
async def test_large_requests_that_differ_at_one_end_are_different(
    desk: Desk, where: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are told apart without reading a whole body on the event loop."""
    monkeypatch.setattr(breaker, "MARKED", 100)
    bodies = [bytearray(400) for _ in range(3)]
    for number, body in enumerate(bodies):
        body[where] = number
    await handle(desk, *map(bytes, bodies))
    assert desk.breaker.open


async def test_a_success_between_them_begins_the_count_anew(desk: Desk) -> None:
    """In a row: a few bad notes among many good ones are usual."""
    desk.transcriber.outcomes = [SICK, SICK, HEARD, SICK, SICK]
    await handle(desk, b"a", b"b", b"c", b"d", b"e")
    assert not desk.breaker.open


async def test_a_decoder_that_is_lost_on_each_file_opens_it_too(desk: Desk) -> None:
    """Closed, the file counts as unreadable; open, it is tried again elsewhere, since the file may be good."""
    desk.decoder = FakeDecoder(LOST)
    assert await handle(desk, b"a", b"b") == []
    assert await handle(desk, b"c") == [1]


async def test_files_and_requests_at_fault_do_not_count(desk: Desk) -> None:
    """A caller who sends rubbish must not stop a healthy worker."""
    desk.decoder = FakeDecoder(AudioRejected(ErrorCode.UNSUPPORTED_MEDIA, "no audio"))
    assert await handle(desk, b"a", b"b", b"c", b"d") == []
    assert not desk.breaker.open


async def test_without_a_limit_it_never_opens(desk: Desk) -> None:
    """`STTD_BREAKER_FAILURES=0` gives it up."""
    desk.breaker = Breaker(0)
    assert await handle(desk, b"a", b"b", b"c", b"d") == [2] * 4


async def test_one_at_a_time_is_tried_after_growing_pauses_until_one_goes_well(desk: Desk) -> None:
    """Each lane may deliver one; two at a time would hit a sick GPU twice."""
    await handle(desk, b"a", b"b", b"c")
    guard = asyncio.create_task(desk.breaker.guard(desk.intake))
    loop = asyncio.get_running_loop()
    for pause in (*PAUSES, LONGEST, LONGEST):
        due, asked = loop.time() + pause, len(desk.intake.calls)
        await desk.intake.until(partial(_resumed_since, asked))
        virtual = loop.time()
        assert virtual == pytest.approx(due)
        assert await handle(desk, b"d") == [1]

    desk.transcriber.outcomes = [HEARD]
    await desk.intake.until(lambda calls: calls[-1] == "resume breaker with 1")
    await handle(desk, b"e")
    await desk.intake.until(lambda calls: calls[-1] == "resume breaker")
    guard.cancel()

    assert not desk.breaker.open
    assert desk.intake.calls[-2:] == ["pause breaker", "resume breaker"]


async def test_a_success_of_what_was_in_hand_opens_the_intake_at_once(desk: Desk) -> None:
    """Ready and healthy, the daemon would take nothing until the pause before the next try is over."""
    await handle(desk, b"a", b"b", b"c")
    guard = asyncio.create_task(desk.breaker.guard(desk.intake))
    await desk.intake.pausing.wait()
    desk.transcriber.outcomes = [HEARD]
    await handle(desk, b"d")
    await desk.intake.until(lambda calls: calls[-1] == "resume breaker")
    guard.cancel()

    virtual = asyncio.get_running_loop().time()
    assert virtual < PAUSES[0]


def _resumed_since(asked: int, calls: list[str]) -> bool:
    return "resume breaker with 1" in calls[asked:]


async def test_two_that_were_delivered_are_tried_one_after_the_other(desk: Desk) -> None:
    """And the second has its turn although the first went well."""
    await handle(desk, b"a", b"b", b"c")
    release = desk.transcriber.hold()
    desk.transcriber.outcomes = [HEARD]
    calls = desk.transcriber.calls
    for body in (b"d", b"e"):
        desk.broker.send(names.REQUESTS, body)
    tries = [asyncio.create_task(desk.handle(desk.settlement())) for _ in range(2)]
    await asyncio.sleep(1)
    assert desk.transcriber.calls == calls + 1

    release.set()
    assert [(await done).outcome for done in tries] == ["completed", "completed"]


async def test_an_answer_without_a_model_call_does_not_close_it(desk: Desk) -> None:
    """A file without speech is answered by a worker whose model fails on everything."""
    await handle(desk, b"a", b"b", b"c")
    desk.broker.send(names.REQUESTS, b"d")
    silent = desk.settlement().delivery
    desk.breaker.worked(silent)
    assert desk.breaker.open

    silent.begun.set()
    desk.breaker.worked(silent)
    assert not desk.breaker.open
