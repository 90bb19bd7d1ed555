"""SIGTERM and SIGINT as a context manager: the first one asks for a drain, the second one ends the process at once.

What "stop" means is for the caller to decide.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def on_stop(callback: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call `callback` on the first signal; exit with 128 + its number on the second. Restores what it found."""
    loop = asyncio.get_running_loop()
    seen: list[signal.Signals] = []

    def received(number: signal.Signals) -> None:
        if seen:
            # A second signal ends the process at once; unacked messages are redelivered, so nothing is lost.
            os._exit(128 + number)
        seen.append(number)
        callback(number)

    before = {number: signal.getsignal(number) for number in STOPPING}
    for number in STOPPING:
        loop.add_signal_handler(number, received, number)
    try:
        yield
    finally:
        for number in STOPPING:
            loop.remove_signal_handler(number)
            if before[number] is not None:  # None: not set from Python, and so not to be restored
                signal.signal(number, before[number])
