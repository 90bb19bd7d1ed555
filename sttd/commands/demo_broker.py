"""The demo's corner of a broker: queues of its own, made for one run, so that it never takes a note that is not its own.

Imports aio_pika and sttd; never touches a queue of a daemon at work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelClosed, ChannelNotFoundEntity

from schemas import names
from sttd.commands.terminal import say
from sttd.errors import BrokerUnavailable
from sttd.settings import ClientSettings

SECONDS: Final = 10


class Busy(Exception):
    """A daemon works on this broker, or has left work: its suspects would go to the demo's model."""


@asynccontextmanager
async def corner(settings: ClientSettings) -> AsyncIterator[str]:
    """The name of a request queue for one demo; the queue, and its bulk lane, are deleted afterwards.

    Raises `Busy`, and `BrokerUnavailable` when there is no broker.
    """
    queue = f"stt.demo.{token_hex(4)}"
    async with _connection(settings) as connection:
        await _refuse_if_busy(connection, settings.broker)
    try:
        yield queue
    finally:
        await _tidy(settings, queue)


async def _tidy(settings: ClientSettings, queue: str) -> None:
    """Delete the demo's queues. A broker that will not have it must not hide why the demo failed."""
    try:
        async with _connection(settings) as connection:
            channel = await connection.channel()
            for name in (queue, f"{queue}.bulk"):
                await channel.queue_delete(name)
    except (BrokerUnavailable, *CONNECTION_EXCEPTIONS) as error:
        say(f"queues {queue} and {queue}.bulk may be left at {settings.broker}: {error}")


@asynccontextmanager
async def _connection(settings: ClientSettings) -> AsyncIterator[AbstractConnection]:
    try:
        async with asyncio.timeout(SECONDS):
            connection = await aio_pika.connect(settings.amqp_url.get_secret_value(), client_properties={"connection_name": "sttd demo"})
    except CONNECTION_EXCEPTIONS as error:
        raise BrokerUnavailable(f"no RabbitMQ at {settings.broker}") from error
    try:
        yield connection
    finally:
        await connection.close()


async def _refuse_if_busy(connection: AbstractConnection, where: str) -> None:
    """Every daemon of a broker takes from the one suspect queue, whatever its request queue is called."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        found = (await channel.declare_queue(names.SUSPECT, passive=True)).declaration_result
    except ChannelNotFoundEntity:
        return
    except ChannelClosed as error:
        raise BrokerUnavailable(f"the user of STTD_AMQP_URL has too few permissions at {where} for a demo: {error}") from error
    if found.consumer_count or found.message_count:
        raise Busy(f"a daemon serves {where} (queue {names.SUSPECT}: {found.consumer_count} consumers, {found.message_count} messages)")
