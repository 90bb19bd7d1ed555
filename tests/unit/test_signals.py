"""The first signal asks, the second one ends the process; what was there before comes back."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from sttd.service.signals import STOPPING, on_stop
from tests.support.waiting import PATIENCE

TWICE = """
import asyncio, os, signal
from sttd.service.signals import on_stop

async def main():
    told = asyncio.Event()
    with on_stop(lambda number: told.set()):
        os.kill(os.getpid(), signal.{first})
        await told.wait()
        os.kill(os.getpid(), signal.{second})
        await asyncio.sleep(30)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", STOPPING)
async def test_the_first_signal_calls_back_and_nothing_else(number: signal.Signals) -> None:
    """The process goes on: the daemon defines what "stop" means."""
    told: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
    with on_stop(told.set_result):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(PATIENCE):
            assert await told is number


@pytest.mark.parametrize(
    ("first", "second", "code"), [("SIGTERM", "SIGTERM", 143), ("SIGINT", "SIGTERM", 143), ("SIGTERM", "SIGINT", 130)]
)
def test_the_second_signal_exits_at_once_with_128_and_its_number(first: str, second: str, code: int) -> None:
    """A second signal means no more waiting; shells and supervisors use this exit code."""
    done = subprocess.run(
        [sys.executable, "-c", TWICE.format(first=first, second=second)], timeout=PATIENCE, check=False
    )
    assert done.returncode == code


async def test_what_was_there_before_comes_back() -> None:
    """A test runner's own Ctrl-C, for example."""
    before = {number: signal.getsignal(number) for number in STOPPING}

    def ours(_number: int, _frame: object) -> None:
        return

    signal.signal(signal.SIGTERM, ours)
    try:
        with on_stop(lambda _number: None):
            assert signal.getsignal(signal.SIGTERM) is not ours
        assert signal.getsignal(signal.SIGTERM) is ours
        assert signal.getsignal(signal.SIGINT) is before[signal.SIGINT]
    finally:
        signal.signal(signal.SIGTERM, before[signal.SIGTERM])
