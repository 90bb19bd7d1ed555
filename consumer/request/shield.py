"""Settling is the only thing that a cancellation must not tear in two: publish, confirm and ack are one unit.

Imports asyncio only; never used around anything but settling.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finished_even_if_cancelled(work: Coroutine[Any, Any, T], *, name: str) -> T:
    """Run `work` to its end although the caller is cancelled once, and return its result: the cancellation came too late.

    A second cancellation ends the work too: it is the drain's last word, and the message stays unacked.
    """
    task = asyncio.create_task(work, name=name)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task
