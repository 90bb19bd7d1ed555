"""The one place where a cancellation has to wait: settling."""

from __future__ import annotations

import asyncio

import pytest

from sttd.consumer.request.shield import finished_even_if_cancelled


class Work:
    """Something that takes until `release` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        """End with `error`, if given, else with 42."""
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = False
        self._error = error

    async def run(self) -> int:
        """Do it."""
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self._error:
            raise self._error
        return 42


async def started(work: Work) -> asyncio.Task[int]:
    """The work under way, shielded."""
    task = asyncio.create_task(finished_even_if_cancelled(work.run(), name="work"))
    await work.entered.wait()
    return task


async def test_without_a_cancellation_it_is_just_the_result() -> None:
    """The ordinary case costs nothing."""
    work = Work()
    task = await started(work)
    work.release.set()

    assert await task == 42


async def test_one_cancellation_comes_too_late() -> None:
    """The caller gets the result, and does not count as cancelled."""
    work = Work()
    task = await started(work)

    task.cancel()
    await asyncio.sleep(0)
    work.release.set()

    assert await task == 42
    assert not task.cancelled()


async def test_a_second_cancellation_ends_the_work_itself() -> None:
    """Nothing goes on behind the caller's back once the drain has said its last word."""
    work = Work()
    task = await started(work)

    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert work.cancelled


async def test_an_error_after_the_cancellation_is_still_told() -> None:
    """A stale delivery during the drain must not look like a success."""
    work = Work(ValueError("x"))
    task = await started(work)

    task.cancel()
    await asyncio.sleep(0)
    work.release.set()

    with pytest.raises(ValueError, match="x"):
        await task
