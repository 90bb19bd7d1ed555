"""An event loop whose clock stands still while anything can run, and jumps to the next timer when nothing can.

For tests whose subject is a time limit: it passes after everything else has happened, however busy the machine is, and
an hour costs nothing. The clock waits for `asyncio.to_thread`, but not for other processes, nor for threads of another
making. The library `looptime` does the same, but its plugin makes an event loop for every plain test too, and never
closes it.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

import pytest

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Jumping(selectors.DefaultSelector):
    """Never waits for as long as a timer asks: what is ready now, or else the time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or (timeout and self.threads):  # only the world outside can go on
            return super().select(None)
        ready = super().select(0)
        if not ready:
            self.passed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` begins with 0."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds that passed because nothing else was left to do."""
        return self._jumping.passed

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As always; the clock stands still meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _future: asyncio.Future[Any]) -> None:
        self._jumping.threads -= 1


async def until(true: Callable[[], bool]) -> None:
    """Let the other tasks run until it is so."""
    for _ in range(10_000):
        if true():
            return
        await asyncio.sleep(0)
    pytest.fail("never came true")
