"""The long-lived tasks of the daemon: what it means when one of them ends."""

import asyncio
from collections.abc import Iterable

from sttd.consumer.errors import StartupError


class PartEnded(Exception):
    """A watched task ended although it was not cancelled; `part` is its name."""

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part


def raise_if_ended(watched: Iterable[asyncio.Task[None]]) -> None:
    """Raise the `StartupError` that ended one of them, else `PartEnded` from whatever did."""
    for task in watched:
        if task.done():
            error = None if task.cancelled() else task.exception()
            if isinstance(error, StartupError):
                raise error
            raise PartEnded(task.get_name()) from error


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancel it and wait for its end, however it ends."""
    task.cancel()
    await asyncio.wait({task})
