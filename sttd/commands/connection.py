"""The operator commands' way to the broker: one connection, bounded in time, refused with what to change.

Never reconnects and never declares anything.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

import aio_pika
import typer
from aio_pika.abc import AbstractConnection
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import leave
from sttd.errors import BrokerUnavailable, SettingsInvalid
from sttd.service import broker_address
from sttd.service.broker_errors import as_connection_error, failed_inside, no_connection, permission, refusal, words
from sttd.settings import ClientSettings, load

if TYPE_CHECKING:
    from sttd.consumer.settings import Settings

DIAL_SECONDS: Final = 10
GOODBYE_SECONDS: Final = 3


class LoginRefused(BrokerUnavailable):
    """The broker answers, but not to this user, password or vhost."""


def client_settings() -> ClientSettings:
    """Where the broker is and what the request queue is called; one line and the end if a setting is wrong."""
    try:
        return load()
    except SettingsInvalid as error:
        raise leave(Exit.USAGE, str(error)) from None


def daemon_settings() -> "Settings":
    """The daemon's settings; one line and the end if one is wrong."""
    from sttd.consumer import settings  # noqa: PLC0415 - commands import the daemon lazily
    from sttd.consumer.errors import SettingsError  # noqa: PLC0415 - the same

    try:
        return settings.load()
    except SettingsError as error:
        raise leave(Exit.USAGE, error.message) from None


def run(story: Coroutine[Any, Any, Exit], after: str = "") -> NoReturn:
    """End the command with the code of the story, or because of the broker with one line, which ends with `after`."""
    try:
        raise typer.Exit(asyncio.run(story))
    except typer.Exit:  # a RuntimeError, and so to aio_pika's list a trouble with the connection
        raise
    except BrokerUnavailable as error:
        raise leave(Exit.BROKER, str(error)) from None
    except (TimeoutError, *CONNECTION_EXCEPTIONS) as error:
        raise leave(Exit.BROKER, trouble(error) + after) from None


@asynccontextmanager
async def connected(settings: ClientSettings, name: str) -> AsyncIterator[AbstractConnection]:
    """A connection that shows as `name` in the broker's list.

    Raises `BrokerUnavailable`, as `LoginRefused` if that is why.
    """
    *others, last = broker_address.each(settings.amqp_url)
    for url in others:  # the nodes of a cluster, as they are written
        try:
            connection = await _dialled(url, settings.broker, name)
            break
        except BrokerUnavailable:  # raised for the last one
            continue
    else:
        connection = await _dialled(last, settings.broker, name)
    try:
        with as_connection_error():
            yield connection
    finally:
        await _close(connection)


async def _dialled(url: str, broker: str, name: str) -> AbstractConnection:
    connection = aio_pika.Connection(make_url(url), client_properties={"connection_name": name})
    try:
        with as_connection_error():
            async with asyncio.timeout(DIAL_SECONDS):
                await connection.connect()
    except BaseException as error:
        await _close(connection)  # its finalizer would need an event loop that is gone
        if isinstance(error, (TimeoutError, *CONNECTION_EXCEPTIONS)):
            kind = LoginRefused if refusal(error) else BrokerUnavailable
            raise kind(no_connection(error, broker)) from error
        raise
    return connection


async def _close(connection: AbstractConnection) -> None:
    # It is gone either way: what was not settled is back in its queue.
    with suppress(TimeoutError, *CONNECTION_EXCEPTIONS):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await connection.close()


def trouble(error: BaseException) -> str:
    """What ended the talk with a broker that had let us in, and what to look at."""
    if isinstance(error, TimeoutError):
        return "RabbitMQ confirms nothing: look at its alarms (`rabbitmqctl status`)"
    if told := failed_inside(error) or permission(error):
        return f"RabbitMQ {told}"
    return f"the connection to the broker failed: {words(error)}"


def server_version(connection: AbstractConnection) -> tuple[int, ...]:
    """RabbitMQ's version as numbers, `(3, 10, 8)`; empty when the broker does not report it."""
    told = getattr(getattr(connection.transport, "connection", None), "server_properties", {})
    text = str(told.get("version", "")).split("-")[0].split("+")[0]
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
