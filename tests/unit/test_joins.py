"""The same audio once: equal requests in hand at one time share one computation (issue 18, point 3)."""

import asyncio
import gc
import json
import weakref
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sttd.consumer.errors import RequestFailed
from sttd.consumer.request.delivery import Delivery
from sttd.consumer.request.joins import Computation, Joins
from sttd.consumer.request.worker import Worker
from sttd.consumer.settings import Join
from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.schemas.request import Properties
from tests.support.fakes import HEARD, Desk, FakeDecoder
from tests.support.memory_bus import MemoryBroker
from tests.support.virtual_time import until

pytestmark = pytest.mark.virtual_time

BULK = "stt.requests.bulk"


class Sound:
    """Stands for audio."""


class Site:
    """A worker on two reply queues, whose engine holds what it gets until `release`."""

    def __init__(self, join: Join = "own") -> None:
        self.broker = MemoryBroker.with_topology()
        for queue in ("bot", "other"):
            self.broker.declare(queue)
        self.desk = Desk(self.broker, join=join)
        self.release = self.desk.transcriber.hold()
        self.worker: Worker = self.desk.worker()

    def take(self, name: str, body: bytes = b"audio", queue: str = names.REQUESTS, **properties: Any) -> None:
        given = {"message_id": name, "correlation_id": name, "reply_to": "bot"} | properties
        self.broker.send(queue, body, Properties(**given))
        self.worker.accept(self.broker.deliver(queue))

    async def working(self, calls: int = 1) -> None:
        """Wait until the engine has so many jobs, and all that is in hand waits for one."""
        await until(lambda: len(self.desk.transcriber.jobs) == calls)
        for _ in range(50):
            await asyncio.sleep(0)

    async def end(self) -> dict[str, Any]:
        """Let the engine finish; returns the answers by correlation id."""
        self.release.set()
        await until(lambda: not self.worker._in_hand)
        return self.answers()

    def answers(self, *queues: str) -> dict[str, Any]:
        stored = [one for queue in queues or ("bot", "other") for one in self.broker.queues[queue].ready]
        found = {str(one.properties.correlation_id): json.loads(one.body) for one in stored}
        assert len(found) == len(stored) == len({one.headers[names.REPLY_ID_HEADER] for one in stored})
        return found

    @property
    def calls(self) -> int:
        return self.desk.transcriber.calls


@pytest.fixture
async def site() -> Site:
    """With the default setting."""
    return Site()


async def test_equal_requests_of_one_reply_queue_are_computed_once_and_answered_each(site: Site) -> None:
    """The same note, forwarded to three chats: one computation, three answers under three ids."""
    for name in ("a", "b", "c"):
        site.take(name)
    await site.working()
    answers = await site.end()
    assert site.calls == site.desk.decoder.calls == 1
    assert {name: answer["joined"] for name, answer in answers.items()} == {"a": False, "b": True, "c": True}
    assert {answer["text"] for answer in answers.values()} == {HEARD.text}
    value = site.desk.metrics.registry.get_sample_value
    assert (value("sttd_requests_joined_total"), value("sttd_audio_duration_seconds_count")) == (2, 1)


@pytest.mark.parametrize(
    ("join", "callers", "calls"),
    [
        ("own", ("chat", "chat"), 1),
        ("own", ("chat", "other"), 2),
        ("own", (None, None), 2),
        ("all", (None, "chat"), 1),
        ("never", ("chat", "chat"), 2),
    ],
)
async def test_strangers_share_only_by_a_setting(join: Join, callers: tuple[str | None, ...], calls: int) -> None:
    """The shorter time would tell one that another has sent the same. Of one caller is who gives the same key."""
    site = Site(join)
    for number, (caller, queue) in enumerate(zip(callers, ("bot", "other"), strict=True)):
        headers = {} if caller is None else {"stt-caller": caller}
        site.take(str(number), reply_to=queue, headers=headers)
    await site.working(calls)
    assert len(await site.end()) == 2
    assert site.calls == calls


@pytest.mark.parametrize(("other", "calls"), [("chat", 1), ("stranger", 2)])
async def test_named_callers_behind_one_reply_queue_are_strangers(site: Site, other: str, calls: int) -> None:
    """A gateway has one reply queue for all of its tokens."""
    for number, caller in enumerate(("chat", other)):
        site.take(str(number), headers={"stt-caller": caller})
    await site.working(calls)
    assert len(await site.end()) == 2
    assert site.calls == calls


@pytest.mark.parametrize(
    "other",
    [
        {"body": b"other audio"},
        {"headers": {"stt-language": "en"}},
        {"headers": {"stt-word-timestamps": "true"}},
        {"headers": {"stt-beam-size": "3"}},
        {"headers": {"stt-progress": "true"}},
        {"queue": BULK},
    ],
)
async def test_what_differs_never_shares(site: Site, other: dict[str, Any]) -> None:
    """Other audio, another option, another lane."""
    site.take("a")
    site.take("b", **other)
    await site.working(2)
    assert not any(answer.get("joined") for answer in (await site.end()).values())


async def test_how_a_request_is_written_and_how_long_it_waits_makes_no_difference(site: Site) -> None:
    """JSON or bytes, and each with a deadline of its own."""
    body = json.dumps({"audio": b64encode(b"audio").decode(), "options": {"vad": True}}).encode()
    site.take("a")
    site.take("b", body, content_type="application/json")
    site.take("c", headers={"stt-deadline": (datetime.now(UTC) + timedelta(hours=1)).isoformat()})
    await site.working()
    assert len(await site.end()) == 3
    assert site.calls == 1


async def test_what_comes_after_the_end_is_computed_again(site: Site) -> None:
    """Nothing is kept: this is no cache."""
    site.take("a")
    await site.working()
    await site.end()
    site.take("b")
    assert not (await site.end())["b"]["joined"]
    assert site.calls == 2


async def test_a_cancelled_leader_ends_alone(site: Site) -> None:
    """Whose request began the work makes no difference for those who wait for it."""
    for name in ("a", "b"):
        site.take(name)
    await site.working()
    site.desk.cancels.add("a")
    await until(lambda: "a" in site.answers())
    answers = await site.end()
    assert (answers["a"]["error"]["code"], answers["b"]["joined"], site.calls) == ("cancelled", True, 1)
    assert site.desk.transcriber.cancelled == 0
    value = site.desk.metrics.registry.get_sample_value
    work = value("sttd_stage_duration_seconds_count", {"stage": "transcribe"})
    assert (value("sttd_requests_joined_total"), value("sttd_audio_duration_seconds_count"), work) == (1, 1, 1)


async def test_the_last_who_leaves_ends_the_work(site: Site) -> None:
    """No engine time for nobody; who comes then begins anew."""
    for name in ("a", "b"):
        site.take(name)
    await site.working()
    for name in ("a", "b"):
        site.desk.cancels.add(name)
    await until(lambda: len(site.answers()) == 2)
    assert site.desk.transcriber.cancelled == 1
    site.take("c")
    assert (await site.end())["c"]["status"] == "completed"


async def test_a_failed_computation_keeps_no_audio() -> None:
    """An error has the frames that it passed; held by a task that they hold, all of it would wait for a collection."""
    held: list[weakref.ref[Sound]] = []

    async def fail(_work: Computation[None]) -> None:
        sound = Sound()
        held.append(weakref.ref(sound))
        await asyncio.sleep(0)
        raise ValueError

    delivery = cast("Delivery", SimpleNamespace(begun=asyncio.Event(), target="bot"))
    gc.disable()
    try:
        work = Joins[None]("own").begin("key", delivery, None, fail)
        with suppress(ValueError):
            await work.result()
        del work
        await asyncio.sleep(0)  # the loop's own handle of this wake-up
        assert held[0]() is None
    finally:
        gc.enable()


async def test_an_expired_follower_ends_alone(site: Site) -> None:
    """Its deadline is its own."""
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    site.take("a")
    site.take("b", headers={"stt-deadline": soon})
    await site.working()
    await site.broker.until(lambda: "b" in site.answers())
    answers = await site.end()
    assert (answers["b"]["error"]["code"], answers["a"]["status"]) == ("expired", "completed")


async def test_a_leader_whose_reply_queue_is_gone_costs_the_others_nothing(site: Site) -> None:
    """Its answer is parked; theirs arrive."""
    keyed = {"stt-caller": "chat"}
    site.take("a", reply_to="gone", headers=keyed)
    site.take("b", headers=keyed)
    await site.working()
    answers = await site.end()
    assert (answers["b"]["joined"], site.calls) == (True, 1)
    assert len(site.broker.queues[names.REPLIES_DEAD].ready) == 1


async def test_a_lost_connection_ends_the_work_and_all_are_delivered_again(site: Site) -> None:
    """As after the death of a worker: each is the broker's, and none is lost."""
    for name in ("a", "b"):
        site.take(name)
    await site.working()
    site.worker.orphan()
    site.broker.lose_connections()
    await until(lambda: not site.worker._in_hand)
    assert site.desk.transcriber.cancelled == 1
    for _ in range(2):
        site.worker.accept(site.broker.deliver())
    assert len(await site.end()) == 2


@pytest.mark.parametrize(
    ("code", "answers", "retried"), [(ErrorCode.AUDIO_UNREADABLE, 2, 0), (ErrorCode.MODEL_ERROR, 0, 2)]
)
async def test_a_failure_is_everybodys(code: ErrorCode, answers: int, retried: int) -> None:
    """Each is answered, or tried again, on its own."""
    site = Site()
    site.desk.decoder = FakeDecoder(RequestFailed(code, "no", {}))
    held = site.desk.decoder.hold()
    site.worker = site.desk.worker()
    for name in ("a", "b"):
        site.take(name)
    await until(site.desk.decoder.entered.is_set)
    for _ in range(50):
        await asyncio.sleep(0)
    held.set()
    assert len(await site.end()) == answers
    assert len(site.broker.queues[names.RETRY_QUEUES[0]].ready) == retried
    assert site.desk.decoder.calls == 1


async def test_each_is_told_how_far_the_work_is() -> None:
    """Progress under each one's own correlation id, also for who came later."""
    site = Site()
    for name in ("a", "b"):
        site.take(name, headers={"stt-progress": "true"})
    await until(lambda: len(site.desk.transcriber.jobs) == 1)
    job = site.desk.transcriber.jobs[0]
    assert job.on_progress is not None
    job.on_progress(0.25, "a part")
    told = site.broker.queues["bot"].ready
    await until(lambda: len(told) == 2)
    assert {one.properties.correlation_id for one in told} == {"a", "b"}
    assert {json.loads(one.body)["fraction"] for one in told} == {0.25}
    site.release.set()
    await until(lambda: not site.worker._in_hand)


async def test_at_a_drain_work_that_has_begun_is_finished_for_all(site: Site) -> None:
    """A follower is as far as its leader: it is not handed back."""
    for name in ("a", "b"):
        site.take(name)
    await until(lambda: all(held.delivery.begun.is_set() for held in site.worker._in_hand.values()))
    draining = asyncio.create_task(site.worker.drain(60))
    await asyncio.sleep(0)
    assert len(await site.end()) == 2
    assert (await draining).handed_back == 0
