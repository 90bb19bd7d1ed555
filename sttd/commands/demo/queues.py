"""The demo's queues, made for one run and deleted after it; the queues of other daemons are never touched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from typing import Final

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelNotFoundEntity

from sttd.commands.connection import connected
from sttd.commands.terminal import say
from sttd.errors import BrokerUnavailable
from sttd.schemas import names
from sttd.service.broker_errors import words
from sttd.settings import ClientSettings

NAME = "sttd demo"
TIDY_SECONDS: Final = 10.0


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
        async with connected(settings, NAME) as connection, asyncio.timeout(TIDY_SECONDS):
            for name in names.request_queues(queue):
                await _delete(connection, name)
    except (BrokerUnavailable, *CONNECTION_EXCEPTIONS) as error:
        say(f"queues {queue}* may be left at {settings.broker}: {words(error)}")


async def _delete(connection: AbstractConnection, name: str) -> None:
    """Empty and delete the queue, if the daemon has declared it.

    Emptied first: the queue answers that after it has taken its dead-letter worker in. On RabbitMQ 3.10 a worker whose
    queue is gone before can end the dead-lettering of the whole broker (docs/reliability.md).
    """
    channel = await connection.channel()
    with suppress(ChannelNotFoundEntity):
        await (await channel.get_queue(name, ensure=False)).purge()
        await channel.queue_delete(name)
