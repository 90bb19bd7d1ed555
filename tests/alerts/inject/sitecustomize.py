"""Faults within a process that nothing outside can cause.

Python imports this at start where PYTHONPATH names its folder. SIGUSR1 takes 128 MiB more, SIGUSR2 gives all of it
back, SIGHUP keeps the main thread, and so the event loop, from running.
"""

import signal
import time

CHUNK = 128 * 2**20
BLOCKED_SECONDS = 1.4
held: list[bytes] = []

signal.signal(signal.SIGUSR1, lambda *_: held.append(b"\x01" * CHUNK))
signal.signal(signal.SIGUSR2, lambda *_: held.clear())
signal.signal(signal.SIGHUP, lambda *_: time.sleep(BLOCKED_SECONDS))
