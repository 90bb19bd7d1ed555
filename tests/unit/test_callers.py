"""Many callers, one queue: what one has too much of in hand moves to the overflow queue, once (issue 18)."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sttd.consumer.request.breaker import Breaker
from sttd.consumer.request.callers import Callers
from sttd.consumer.request.worker import Worker
from sttd.schemas import names
from sttd.schemas.request import Properties
from tests.support.fakes import Desk
from tests.support.memory_bus import Fault, MemoryBroker, MemoryIntake, Stored
from tests.support.virtual_time import until

pytestmark = pytest.mark.virtual_time

HAND = 4
OVERFLOW = "stt.requests.overflow"


class Site:
    """A worker that consumes as the daemon does, with an engine that holds what it gets."""

    def __init__(self, share: float = 0.5, lanes: tuple[str, ...] = (names.REQUESTS,)) -> None:
        self.broker = MemoryBroker.with_topology()
        self.broker.declare("bot")
        self.desk = Desk(self.broker, callers=Callers(share, lambda: HAND))
        self.release = self.desk.transcriber.hold()
        self.worker: Worker = self.desk.worker()
        self._lanes = dict.fromkeys(lanes, HAND)

    def send(self, caller: str | None, count: int = 1, **properties: Any) -> None:
        """Put requests of one caller on the interactive queue."""
        headers = {} if caller is None else {"stt-caller": caller}
        for number in range(count):
            given = {"message_id": f"{caller}-{number}", "reply_to": "bot", "headers": headers} | properties
            self.broker.send(names.REQUESTS, b"audio", Properties(**given))

    def serve(self) -> None:
        MemoryIntake(self.broker, self._lanes, self.worker.accept, self.worker.orphan)

    @property
    def moved(self) -> list[Stored]:
        """What waits in the overflow queue."""
        return list(self.broker.queues[OVERFLOW].ready)

    def moves(self) -> float | None:
        """How many requests the metrics count as moved."""
        return self.desk.metrics.registry.get_sample_value(
            "sttd_requests_finished_total", {"outcome": "moved", "code": "ok"}
        )

    async def in_hand(self, wanted: list[str]) -> None:
        """Wait until the engine has these notes and the request queue is empty."""
        await until(
            lambda: (
                not self.broker.queues[names.REQUESTS].ready
                and sorted(str(job.caller) for job in self.desk.transcriber.jobs) == wanted
            )
        )


@pytest.fixture
async def site() -> Site:
    """Of four notes in hand one caller may have two."""
    return Site()


async def test_beside_a_flood_others_come_into_hand_and_the_rest_of_the_flood_moves(site: Site) -> None:
    """Nobody waits behind a hundred notes of one chat."""
    site.send("many", 100)
    site.send("few")
    site.serve()
    await site.in_hand(["few", "many", "many"])
    await until(lambda: site.moves() == len(site.moved) == 98)


async def test_what_a_caller_had_in_hand_while_there_was_room_stays_and_is_not_added_to(site: Site) -> None:
    """Work that has begun is not thrown away; no note of this caller takes its place."""
    site.send("many", HAND - 1)
    site.serve()
    await site.in_hand(["many"] * (HAND - 1))
    site.send("many", 10)
    site.send("few")
    site.broker._wake()
    await site.in_hand(["few", "many", "many", "many"])
    assert len(site.moved) == 10


@pytest.mark.parametrize(("caller", "share"), [(None, 0.5), ("many", 1.0)])
async def test_without_a_key_and_with_the_whole_share_nothing_moves(caller: str | None, share: float) -> None:
    """No key: as before there were keys."""
    site = Site(share)
    site.send(caller, HAND + 2)
    site.serve()
    await until(lambda: len(site.desk.transcriber.jobs) == HAND)
    assert (site.moved, site.moves()) == ([], 0)


async def test_while_there_is_room_in_hand_nothing_moves(site: Site) -> None:
    """Nobody can wait behind these."""
    site.send("many", HAND - 1)
    site.serve()
    await site.in_hand(["many"] * (HAND - 1))
    assert site.moved == []


async def test_what_moves_keeps_everything_and_is_neither_a_death_nor_a_retry(site: Site) -> None:
    """Only the queue is another one."""
    sent = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=20)
    site.send("many", HAND - 1)
    headers = {"stt-caller": "many", "stt-beam-size": "2", names.ATTEMPT_HEADER: 3}
    given = {"correlation_id": "c", "message_id": "m", "timestamp": sent, "expiration": 60.0, "headers": headers}
    site.send("many", 1, **given)
    site.serve()
    await until(lambda: len(site.moved) == 2)
    stored = site.moved[-1]
    kept = stored.properties
    assert (kept.correlation_id, kept.message_id, kept.timestamp) == ("c", "m", sent)
    assert kept.expiration is not None
    assert kept.expiration <= 40.0, "the broker counts anew from the copy"
    assert (kept.reply_to, stored.body, stored.deliveries) == ("bot", b"audio", 0)
    assert headers.items() <= kept.headers.items()
    assert kept.headers[names.EXPIRES_HEADER] == int((sent + timedelta(seconds=60)).timestamp() * 1000)
    assert site.desk.metrics.registry.get_sample_value("sttd_retries_total", {"code": "model_error"}) == 0


async def test_what_has_moved_is_worked_on_behind_the_rest_and_moves_no_more() -> None:
    """All of a flood is answered, each once."""
    site = Site(lanes=(names.REQUESTS, OVERFLOW))
    site.release.set()
    site.send("many", 30)
    site.send("few", 2)
    site.serve()
    steps, answers = site.broker.steps, site.broker.queues["bot"].ready
    await until(lambda: len(answers) == 32 == steps.count(("ack", names.REQUESTS)))
    await until(lambda: steps.count(("ack", OVERFLOW)) == site.moves())
    assert {job.lane for job in site.desk.transcriber.jobs} == {"interactive", "overflow"}
    assert len({stored.headers[names.REPLY_ID_HEADER] for stored in answers}) == 32


async def test_what_was_delivered_before_stays(site: Site) -> None:
    """A move would make the broker forget how often a worker died with it."""
    site.send("many", HAND)
    for _ in range(HAND):
        site.broker.deliver()
    site.broker.lose_connections()
    site.serve()
    await site.in_hand(["many"] * HAND)
    assert site.moved == []


async def test_what_was_delivered_before_counts_for_its_caller(site: Site) -> None:
    """After a reconnect the same flood has its share in hand already."""
    site.send("many", HAND - 1)
    for _ in range(HAND - 1):
        site.broker.deliver()
    site.broker.lose_connections()
    site.serve()
    await site.in_hand(["many"] * (HAND - 1))
    site.send("many")
    site.broker._wake()
    await until(lambda: len(site.moved) == 1)


async def test_a_caller_in_json_counts_as_one_in_a_header(site: Site) -> None:
    """The same key, however the request is written."""
    site.send("many", HAND - 1)
    body = json.dumps({"audio": b64encode(b"audio").decode(), "options": {"caller": "many"}}).encode()
    site.broker.send(names.REQUESTS, body, Properties(content_type="application/json", reply_to="bot"))
    site.serve()
    await until(lambda: len(site.moved) == 2)
    assert site.moved[-1].body == body


async def test_a_missing_overflow_queue_costs_a_pause_and_no_note() -> None:
    """Deleted by hand: the note comes back after the shortest delay, as the same attempt."""
    site = Site()
    site.broker.delete(OVERFLOW)
    site.send("many", HAND)
    site.serve()
    later = site.broker.queues[names.RETRY_QUEUES[0]].ready
    await until(lambda: len(later) == HAND / 2)
    assert {stored.headers[names.ATTEMPT_HEADER] for stored in later} == {1}


async def test_where_nobody_serves_the_overflow_queue_nothing_moves() -> None:
    """An upgrade with the old users: what moved there would wait until they have the right to it."""
    site = Site()
    site.desk = Desk(site.broker, callers=Callers(0.5, lambda: HAND, lambda: False))
    site.desk.transcriber.hold()
    site.worker = site.desk.worker()
    site.send("many", HAND)
    site.serve()
    await site.in_hand(["many"] * HAND)
    assert site.moved == []


async def test_a_move_that_is_not_confirmed_is_published_again_before_the_ack(site: Site) -> None:
    """Publish, confirm, ack: a note is in one of the two queues at every moment."""
    site.broker.fail(OVERFLOW, Fault.NACK, times=2)
    site.send("many", HAND)
    site.serve()
    await site.broker.until(lambda: site.moves() == HAND / 2)
    steps = [step for step in site.broker.steps if step in {("confirm", OVERFLOW), ("ack", names.REQUESTS)}]
    assert steps[0] == ("confirm", OVERFLOW)
    assert steps.count(("confirm", OVERFLOW)) == steps.count(("ack", names.REQUESTS)) == len(site.moved)


async def test_behind_an_open_breaker_nothing_moves() -> None:
    """What is in hand is then tried one by one; it counts for its caller when the breaker has closed."""
    site = Site()
    site.desk.breaker = Breaker(1)
    site.desk.breaker._opened.set()
    site.send("many", HAND - 2)
    site.worker = site.desk.worker()
    site.serve()
    await until(lambda: len(site.desk.transcriber.jobs) == 1)
    assert site.moved == []
    site.desk.breaker._opened.clear()
    site.send("many", 2)
    site.broker._wake()
    await until(lambda: len(site.moved) == 1)
