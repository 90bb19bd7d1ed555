"""What is counted of one request, whichever way it ends."""

import asyncio
import json
from typing import Any

import pytest

from sttd.consumer.errors import AudioRejected, ModelFailed
from sttd.consumer.refs.references import References
from sttd.consumer.request.worker import Worker
from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reference import Reference
from sttd.schemas.request import Properties
from tests.support.fakes import Desk, FakeDecoder, FakeTranscriber, StuckPublisher
from tests.support.memory_bus import Fault, MemoryBroker
from tests.support.object_store import FakeStore

REFERENCE = json.dumps({"audio_ref": "s3://voice/note.ogg"}).encode()
ONCE = {"queued": 0, "fetch": 0, "decode": 1, "transcribe": 1, "reply": 1, "total": 1}


@pytest.fixture
async def desk() -> Desk:
    """A worker's collaborators on a broker with the daemon's topology and a caller's queue `bot`."""
    broker = MemoryBroker.with_topology()
    broker.declare("bot")
    return Desk(broker)


def take(desk: Desk, body: bytes = b"audio", **properties: Any) -> Worker:
    """A worker with one request in hand."""
    desk.broker.send(names.REQUESTS, body, Properties(**({"message_id": "m-1", "reply_to": "bot"} | properties)))
    worker = desk.worker()
    worker.accept(desk.broker.deliver())
    return worker


async def end(worker: Worker) -> None:
    """Wait until nothing is in hand."""
    async with asyncio.timeout(5):
        while worker._in_hand:
            await asyncio.wait(worker._in_hand)


def counted(desk: Desk, name: str, **labels: str) -> float:
    """The value of one series; 0 where there is none."""
    return desk.metrics.registry.get_sample_value(f"sttd_{name}", labels) or 0


def stages(desk: Desk) -> dict[str, float]:
    """How often each stage was observed."""
    return {stage: counted(desk, "stage_duration_seconds_count", stage=stage) for stage in ONCE}


async def lose_while_publishing(desk: Desk, **properties: Any) -> None:
    """The connection goes while the answer is on its way; the answer is confirmed, its ack is too late."""
    stuck = desk.publisher = StuckPublisher(desk.broker.publisher())
    worker = take(desk, **properties)
    async with asyncio.timeout(5):
        await stuck.entered.wait()
    desk.broker.lose_connections()
    stuck.release.set()
    await end(worker)


async def test_a_finished_note_that_the_broker_takes_back_counts_its_work_but_no_end(desk: Desk) -> None:
    """The work was done, the answer is out; what becomes of the request is counted by the worker that gets it next."""
    await lose_while_publishing(desk)

    assert stages(desk) == ONCE | {"total": 0}
    assert counted(desk, "audio_duration_seconds_count") == counted(desk, "real_time_factor_count") == 1
    assert counted(desk, "answer_duration_seconds_count", lane="interactive") == 0
    assert counted(desk, "requests_finished_total", outcome="handed_back", code="ok") == 1


async def test_a_parked_reply_is_counted_although_the_request_comes_again(desk: Desk) -> None:
    """The queue of dead replies holds it, and the alert on that queue's growth reads this counter."""
    await lose_while_publishing(desk, reply_to="gone")

    assert counted(desk, "replies_parked_total") == len(desk.broker.queues[names.REPLIES_DEAD].ready) == 1


async def test_a_note_whose_answer_nobody_confirms_counts_its_work_and_its_retry(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transcript was made, though the caller has none yet."""
    monkeypatch.setattr("sttd.consumer.request.settlement.REPLY_PATIENCE", 0)
    desk.broker.fail("bot", Fault.NACK)
    await end(take(desk))

    assert stages(desk) == ONCE
    assert counted(desk, "audio_duration_seconds_count") == 1
    assert counted(desk, "retries_total", code="internal_error") == 1
    assert counted(desk, "answer_duration_seconds_count", lane="interactive") == 0


@pytest.mark.parametrize(
    ("store", "decoder", "fetches"),
    [
        (FakeStore(down=True), FakeDecoder(), 0),
        (
            FakeStore({Reference("voice", "note.ogg"): b"x"}),
            FakeDecoder(AudioRejected(ErrorCode.UNSUPPORTED_MEDIA, "no")),
            1,
        ),
    ],
    ids=["store is away", "not audio"],
)
async def test_a_fetch_is_counted_when_it_brought_the_audio(
    desk: Desk, store: FakeStore, decoder: FakeDecoder, fetches: int
) -> None:
    """The time of what the store refused at once would pull the mean down; what comes after is another stage."""
    desk.references = References(store, (("voice", ""),), 1000)
    desk.decoder = decoder
    await end(take(desk, REFERENCE, content_type="application/json"))

    assert stages(desk) == dict.fromkeys(ONCE, 0) | {"fetch": fetches, "reply": 1, "total": 1}


async def test_a_note_that_the_model_fails_on_counts_none_of_its_work(desk: Desk) -> None:
    """Stages and lengths are of what was transcribed."""
    desk.transcriber = FakeTranscriber(ModelFailed("x"))
    await end(take(desk))

    assert stages(desk) == dict.fromkeys(ONCE, 0) | {"reply": 1, "total": 1}
    assert counted(desk, "audio_duration_seconds_count") == 0


async def test_a_note_that_is_stopped_counts_as_handed_back_and_as_nothing_else(desk: Desk) -> None:
    """A drain must not look like finished work."""
    desk.transcriber.hold()
    worker = take(desk)
    async with asyncio.timeout(5):
        await desk.transcriber.entered.wait()
    worker.orphan()
    await end(worker)

    assert stages(desk) == dict.fromkeys(ONCE, 0)
    assert counted(desk, "requests_finished_total", outcome="handed_back", code="ok") == 1
