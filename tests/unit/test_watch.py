"""How a session learns that the broker has lost its consumers, or that its node does not serve."""

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest
from aio_pika.abc import AbstractConnection

from sttd.consumer.bus.link import Loss
from sttd.consumer.bus.watch import EVERY, EVERY_OF_SEVERAL, PATIENCE, PATIENCE_OF_SEVERAL, WITHOUT_US, Consumers, Watch

pytestmark = pytest.mark.virtual_time

NEVER = 3600.0
NOWHERE = cast("AbstractConnection", None)


LANES = ("requests", "suspect")
WELL, GONE = dict.fromkeys(LANES, 1), dict.fromkeys(LANES, 0)
FORGOTTEN = {"requests": 1, "suspect": 0}


class Site:
    """An intake on a broker that answers as it is told."""

    lanes = LANES

    def __init__(
        self,
        *found: Consumers,
        look: float = 0.0,
        renew: float = 0.0,
        agree: float = 0.0,
    ) -> None:
        """`found`: what each look finds; the last answer stays. The others: seconds until an answer."""
        self.consuming = frozenset(LANES)
        self.taken = self.renewed = self.agreed = 0
        self._found: Iterator[Consumers] = iter(found)
        self._last: Consumers = None
        self._seconds = {"look": look, "renew": renew, "agree": agree}

    async def look(self, connection: AbstractConnection) -> Consumers:
        self.taken += 1
        self._last = next(self._found, self._last)
        await asyncio.sleep(self._seconds["look"])
        return self._last

    async def renew(self) -> None:
        self.renewed += 1
        await asyncio.sleep(self._seconds["renew"])

    async def agree(self) -> None:
        self.agreed += 1
        await asyncio.sleep(self._seconds["agree"])


class Told(Watch):
    """A watch whose looks find what the site is told to have."""

    def __init__(self, site: Site, *, several: bool) -> None:
        """Counts nothing."""
        super().__init__(site, lambda _queue, _depth: None, several=several)
        self._site = site

    async def _look(self, connection: AbstractConnection) -> Consumers:
        return await self._site.look(connection)


async def watched(site: Site, *, several: bool = False, seconds: float = 600) -> float | None:
    """When these looks end the session; None if they do not."""
    watch, loss = Told(site, several=several), Loss()
    running, lost = asyncio.create_task(watch.run(NOWHERE, loss)), asyncio.create_task(loss.wait())
    ended, _ = await asyncio.wait({running, lost}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if running in ended:
        assert isinstance(running.exception(), TimeoutError)
    for task in (running, lost):
        task.cancel()
    await asyncio.wait({running, lost})
    return asyncio.get_running_loop().time() if ended else None


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        ((WELL, GONE, GONE, WELL, GONE, GONE, WELL), False),
        ((WELL, GONE), True),
        ((WELL, FORGOTTEN), True),
        (({**GONE, "suspect": 1}, FORGOTTEN) * 100, False),
        ((GONE, GONE, None), False),
        ((WELL,), False),
    ],
)
async def test_a_consumer_is_lost_when_looks_miss_it_for_longer_than_an_election(
    found: tuple[Consumers, ...], lost: bool
) -> None:
    """While a queue's leader is elected, or takes more than 250 ms, RabbitMQ says 0 consumers (issue 13)."""
    assert (await watched(Site(*found)) is not None) is lost


@pytest.mark.parametrize(("several", "seconds"), [(False, PATIENCE), (True, PATIENCE_OF_SEVERAL)])
async def test_a_look_without_an_answer_ends_the_watch_sooner_where_there_is_another_node(
    several: bool, seconds: float
) -> None:
    """A node that stands still keeps its connections; the heartbeats need half a minute."""
    assert await watched(Site(look=NEVER), several=several) == seconds


@pytest.mark.parametrize("answer", [0.5, 1.0])
async def test_answers_of_a_busy_cluster_cost_no_connection(answer: float) -> None:
    """Late is not silent: a daemon that runs around does no work."""
    assert await watched(Site(WELL, look=answer, renew=2.4), several=True) is None


async def test_a_node_that_cannot_register_a_consumer_is_left() -> None:
    """A leader that is cut off from the others says for ever that it has our consumer, and delivers nothing."""
    assert await watched(Site(WELL, renew=NEVER), several=True) == PATIENCE_OF_SEVERAL


async def test_a_follower_that_is_cut_off_is_left() -> None:
    """It knows nothing of the queues, and agrees on nothing with the others."""
    assert await watched(Site(GONE, agree=NEVER), several=True) == PATIENCE_OF_SEVERAL


async def test_a_well_node_is_not_left_while_a_lost_leader_is_replaced() -> None:
    """5 to 10 s: elsewhere the same would wait, and the notes in hand would be begun anew."""
    site = Site(WELL, *[GONE] * 4, WELL)
    assert await watched(site, several=True) is None
    assert site.agreed == 4
    assert site.renewed > site.agreed


async def test_a_lane_that_is_lost_for_longer_than_an_election_is_consumed_anew() -> None:
    """The leader is there, and has forgotten us: among several nodes no session ends for that."""
    site = Site(WELL, *[FORGOTTEN] * 20, WELL)
    assert await watched(site, several=True) is None
    assert site.agreed == WITHOUT_US // EVERY_OF_SEVERAL - 1


async def test_a_lane_that_takes_nothing_for_now_is_not_missed() -> None:
    """What it has in hand is its whole prefetch: it has no consumer until some of that is settled."""
    site = Site({"requests": 0, "suspect": 1})
    site.consuming = frozenset(["suspect"])
    assert await watched(site) is None


async def test_a_daemon_that_consumes_nothing_is_not_missed() -> None:
    """Paused for a suspect, or leaving: the broker is right to have no consumer, and no node is left for that."""
    site = Site(GONE, agree=NEVER)
    site.consuming = frozenset()
    assert await watched(site, several=True, seconds=10 * EVERY) is None
    assert (site.taken > 10, site.agreed) == (True, 0)
