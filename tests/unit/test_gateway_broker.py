"""Who is let through to the queue: the grace period of a daemon or broker that is away, in a scripted client's time."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from sttd import Client
from sttd.errands import QueueState
from sttd.errors import BrokerBlocked, BrokerUnavailable, NotServed, NotVisible, SttdClientError
from sttd.gateway.broker import Broker
from sttd.gateway.problems import Problem

pytestmark = pytest.mark.virtual_time

GRACE = 10.0
AWAY = BrokerUnavailable("lost the connection to RabbitMQ at rabbit:5672 (closed)")
SLOW = BrokerUnavailable("RabbitMQ at rabbit:5672 does not answer (TimeoutError)")
BLOCKED = BrokerBlocked("RabbitMQ at rabbit:5672 takes no messages")
NEVER_SERVED = NotServed("queue stt.requests does not exist")
NO_DAEMON = QueueState(waiting=3, consumers=0)
SERVED = QueueState(waiting=3, consumers=1)

Sight = QueueState | SttdClientError


class Scripted:
    """A client that sees what the script has at this moment."""

    request_queue = "stt.requests"

    def __init__(self, script: Callable[[float], Sight], moved: Sight) -> None:
        self._script = script
        self._moved = moved

    @property
    def connected(self) -> bool:
        return self._script(asyncio.get_running_loop().time()) is not AWAY

    async def open(self) -> None:
        """Be there at once."""

    async def close(self) -> None:
        """Nothing to close."""

    async def queue_state(self, queue: str | None = None) -> QueueState:
        seen = self._moved if queue == "stt.requests.overflow" else self._script(asyncio.get_running_loop().time())
        if isinstance(seen, SttdClientError):
            raise seen
        return seen


async def admitted(
    script: Callable[[float], Sight], *, grace: float = GRACE, moved: Sight = NEVER_SERVED
) -> tuple[Any, float]:
    """How one call fares (the client, or the refusal), and how long that moment."""
    client = Scripted(script, moved)
    broker = Broker(cast("Client", client), max_queued=100, grace_seconds=grace)
    async with broker.running():
        await asyncio.sleep(0)
        try:
            found: Any = await broker.admit()
        except Problem as refusal:
            found = refusal
    return found, asyncio.get_running_loop().time()


@pytest.mark.parametrize("away", [AWAY, BLOCKED, NEVER_SERVED, NO_DAEMON])
async def test_what_stays_away_is_503_with_its_reason_when_the_grace_period_is_over(away: Sight) -> None:
    """Not before: a restart takes a while. Not much later: nobody should have to find out by waiting."""
    refusal, moment = await admitted(lambda _: away)

    assert isinstance(refusal, Problem)
    assert (refusal.status, refusal.retry_after, moment) == (503, 10, GRACE)
    assert refusal.message == (str(away) if isinstance(away, SttdClientError) else refusal.message)
    assert ("no daemon works" in refusal.message) == (away is NO_DAEMON)


@pytest.mark.parametrize("away", [AWAY, BLOCKED, NEVER_SERVED, NO_DAEMON])
async def test_what_comes_back_in_time_serves_the_call(away: Sight) -> None:
    """A restart of the only daemon costs its callers seconds, not an error."""
    found, moment = await admitted(lambda now: SERVED if now >= GRACE / 2 else away)

    assert isinstance(found, Scripted)
    assert GRACE / 2 <= moment < GRACE


async def test_without_a_grace_period_the_refusal_comes_at_once() -> None:
    """An operator whose balancer has a second gateway wants no wait."""
    refusal, moment = await admitted(lambda _: NO_DAEMON, grace=0)

    assert (refusal.status, moment) == (503, 0)


@pytest.mark.parametrize("unknown", [NotVisible("hidden"), SLOW])
async def test_where_nobody_knows_whether_a_daemon_works_the_call_finds_out(unknown: Sight) -> None:
    """No reason to refuse: a user who may not look at the queue, a broker or machine that is slow under load."""
    found, moment = await admitted(lambda _: unknown)

    assert isinstance(found, Scripted)
    assert moment == 0


@pytest.mark.parametrize(
    ("moved", "refused"), [(QueueState(97, 1), True), (QueueState(96, 1), False), (NotVisible("hidden"), False)]
)
async def test_what_daemons_have_moved_to_overflow_counts_as_waiting(moved: Sight, refused: bool) -> None:
    """A caller's flood leaves the request queue at once: its length alone would never refuse anybody."""
    found, _ = await admitted(lambda _: SERVED, moved=moved)

    assert isinstance(found, Problem) is refused
    if refused:
        assert (found.status, found.message.split()[0]) == (429, "100")
