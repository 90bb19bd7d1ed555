"""The demo's queues, made for one run and deleted after it; the queues of other daemons are never touched."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex

from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from sttd.commands.connection import connected
from sttd.commands.terminal import say
from sttd.errors import BrokerUnavailable
from sttd.schemas import names
from sttd.settings import ClientSettings

NAME = "sttd demo"


async def reachable(settings: ClientSettings) -> None:
    """Raises `BrokerUnavailable` when there is no broker."""
    async with connected(settings, NAME):
        pass


@asynccontextmanager
async def corner(settings: ClientSettings) -> AsyncIterator[str]:
    """The name of a request queue for one demo.

    The daemon declares it, and it is deleted afterwards with the queues beside it.
    """
    queue = f"stt.demo.{token_hex(4)}"
    try:
        yield queue
    finally:
        await _tidy(settings, queue)


async def _tidy(settings: ClientSettings, queue: str) -> None:
    """Delete the demo's queues. A broker that will not have it must not hide why the demo failed."""
    try:
        async with connected(settings, NAME) as connection:
            channel = await connection.channel()
            for name in names.request_queues(queue):
                await channel.queue_delete(name)
    except (BrokerUnavailable, *CONNECTION_EXCEPTIONS) as error:
        say(f"queues {queue}* may be left at {settings.broker}: {error}")
