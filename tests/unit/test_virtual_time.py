"""The clock of the tests of time limits: nothing that can run is overtaken by it."""

import asyncio
import threading

import pytest

pytestmark = pytest.mark.virtual_time


async def test_an_hour_passes_at_once_and_timers_keep_their_order() -> None:
    """Else tests of time limits would have to wait for them, or to guess how short is long enough."""
    told: list[str] = []

    async def one(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        told.append(name)

    await asyncio.gather(one("last", 3600), one("first", 0.001), one("second", 60))

    assert told == ["first", "second", "last"]


async def test_a_limit_does_not_pass_while_there_is_work_to_do() -> None:
    """However many turns of the loop the work takes."""
    async with asyncio.timeout(0.001):
        for _ in range(10_000):
            await asyncio.sleep(0)


async def test_a_limit_does_not_pass_while_a_thread_works() -> None:
    """What runs in a thread is work, too."""
    go_on = threading.Event()
    async with asyncio.timeout(0.001):
        working = asyncio.create_task(asyncio.to_thread(go_on.wait, 60))
        for _ in range(100):
            await asyncio.sleep(0)
        go_on.set()
        assert await working


async def test_a_limit_passes_when_everything_waits() -> None:
    """An hour here is no hour outside."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await asyncio.Event().wait()
