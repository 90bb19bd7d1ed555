"""A `decode` for a decoder child that does on command what a file could make FFmpeg do.

Runs inside the child, in place of the real one; imports the standard library and the child's own refusals.
"""

import ctypes
import math
import os
import threading
from collections.abc import Callable
from typing import Any

from sttd.consumer.audio.child.refusal import Longer

INFO = {"duration": 99.0, "format": "ogg", "codec": "opus", "sample_rate": 48_000, "channels": 1}
SECOND = memoryview(bytes(32_000))


def decode(audio: bytes, _tally: object, send: Callable[[memoryview], None]) -> dict[str, Any]:
    """Do what the first word of the "file" names; by default, a second of silence."""
    command = audio.decode()
    FAULTS.get(command, lambda: None)()
    if command == "lie":
        return {**INFO, "channels": "many"}
    send(SECOND)
    return INFO


def _hang() -> None:
    threading.Event().wait()


def _raise() -> None:
    raise ZeroDivisionError("secret words of the file")


def _longer(seconds: float) -> None:
    raise Longer(seconds)


def _babble() -> None:
    os.write(0, b"\xff" * 64)


FAULTS: dict[str, Callable[[], object]] = {
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(0),
    "babble": _babble,
    "hang": _hang,
    "raise": _raise,
    "memory": lambda: bytearray(1 << 40),
    "longer": lambda: _longer(500.0),
    "endless": lambda: _longer(math.inf),
}
