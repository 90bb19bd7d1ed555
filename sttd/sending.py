"""Publishes that no cancelled caller breaks off.

aiormq 7.2.4 has no guard for a publish that is cancelled in the moment in which it is returned: its channel reader
would end, and with it the publishes of all other callers.
"""

import asyncio

from aio_pika import Message
from aio_pika.abc import AbstractConnection, AbstractExchange

from sttd import errands
from sttd.quiet import quiet


async def unblocked(connection: AbstractConnection, lost: asyncio.Event) -> None:
    """Wait while the broker blocks this connection, and is not lost.

    A call that ends meanwhile leaves nothing behind. In `Sending` its message would stay, and be published after the
    alarm, for each call that a bot has given up.
    """
    if connection.transport is None or not await errands.blocked(connection):
        return
    waits = asyncio.ensure_future(connection.transport.ready()), asyncio.ensure_future(lost.wait())
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class Sending:
    """Tasks that wait for the broker's confirms, also when their callers do not wait any more."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def publish(self, exchange: AbstractExchange, message: Message, queue: str) -> None:
        """Return when the broker has confirmed the message. Raises as `AbstractExchange.publish` does."""

        async def publish() -> None:
            with quiet():
                await exchange.publish(message, queue, mandatory=True)

        task = asyncio.create_task(publish(), name=f"sttd publish {message.message_id}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        await asyncio.shield(task)

    async def close(self) -> None:
        """End what still waits; the connection is closed already."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the caller has it, or was cancelled and needs it no more
