"""What an error of the broker or the library is called, and which step it names; what closing makes of a call."""

import asyncio
import ssl
from pathlib import Path
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPConnectionError, ConnectionInternalError
from pydantic import SecretStr

from sttd import Client, errands, errors
from sttd.amqp import ClientLink, _Session
from sttd.commands.connection import trouble
from sttd.consumer.bus.link import Link
from sttd.consumer.bus.publisher import AmqpPublisher
from sttd.schemas import names
from sttd.service.broker_errors import as_connection_error, no_connection
from sttd.settings import load
from tests.support.fakes import Watcher

ABANDONED = [Exception(), asyncio.CancelledError()]
"""How aiormq fails what is in flight when its connection ends."""


def test_a_fault_inside_rabbitmq_sends_nobody_to_the_address() -> None:
    """The connection was there: RabbitMQ closed it with 541, as 3.10 does to each declare without dead-lettering."""
    for told in (
        no_connection(ConnectionInternalError("INTERNAL_ERROR"), "rabbit:5672/stt"),
        trouble(ConnectionInternalError("INTERNAL_ERROR")),
    ):
        assert "INTERNAL_ERROR" in told
        assert "its log" in told
        assert "docs/reliability.md" in told
        assert "STTD_AMQP_URL" not in told
        assert "is it running" not in told


def test_a_certificate_that_is_not_accepted_is_not_called_a_broker_that_is_away() -> None:
    """The step is in the URL: the host's name, or the authority."""
    said = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)"
    told = no_connection(AMQPConnectionError(1, said), "rabbit:5671/stt")
    assert "cafile=" in told
    assert "is it running" not in told


def test_a_file_of_the_url_that_is_not_there_is_not_called_a_broker_that_is_away(tmp_path: Path) -> None:
    """Python names no file, so the sentence has to."""
    with pytest.raises(FileNotFoundError) as missing:
        ssl.create_default_context(cafile=tmp_path / "missing.pem")
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ssl.SSLError) as empty:
        ssl.create_default_context().load_cert_chain(tmp_path / "empty.pem")
    for error in (missing.value, empty.value):
        told = no_connection(error, "rabbit:5671/stt")
        assert "cafile, certfile, keyfile" in told
        assert "is it running" not in told


@pytest.mark.parametrize("error", ABANDONED, ids=repr)
async def test_what_closing_does_to_a_call_is_a_connection_error(error: BaseException) -> None:
    """Else a task that waits would end as if somebody had cancelled it."""
    with pytest.raises(ConnectionError), as_connection_error():
        raise error


async def test_who_is_cancelled_stays_cancelled() -> None:
    """Only a cancel that nobody asked for is the library's."""

    async def waiting() -> None:
        with as_connection_error():
            await asyncio.Event().wait()

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("error", ABANDONED, ids=repr)
async def test_a_look_at_a_queue_on_a_dying_connection_finds_no_broker(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway shares one look among its calls: a cancelled one would drop them all without an answer."""

    class Dying:
        async def channel(self, **_: object) -> object:
            raise error

    client = Client("amqp://127.0.0.1:1/")

    async def connection() -> AbstractConnection:
        return cast("AbstractConnection", Dying())

    async def unblocked() -> bool:
        return False

    monkeypatch.setattr(ClientLink, "connected", True)
    monkeypatch.setattr(client._link, "connection", connection)
    monkeypatch.setattr(client._link, "blocked", unblocked)
    with pytest.raises(errors.BrokerUnavailable):
        await client.queue_state()
    with pytest.raises(ConnectionError):
        await errands.look(await connection(), names.REQUESTS)


class Outbox:
    """A connection, its exchange, and its end, as far as a publish of the client uses them."""

    transport = None

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.taken: list[str] = []

    async def publish(self, _message: object, queue: str, **_: object) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(queue)


@pytest.mark.parametrize("error", ABANDONED, ids=repr)
async def test_a_request_on_a_dying_connection_is_published_on_the_next(error: BaseException) -> None:
    """A bot must not get the library's bare `Exception`, or a cancel, for a connection that is made again."""
    dying, well = Outbox(error), Outbox()
    link = ClientLink(
        load(amqp_url="amqp://127.0.0.1:1/"),
        name="test",
        reply_queue="answers",
        on_reply=lambda *_args, **_named: None,
        on_down=lambda _error: None,
    )

    def use(outbox: Outbox) -> _Session:
        made: Any = outbox
        link._session = _Session(made, made, made, made, asyncio.Event())
        link._up.set()
        return link._session

    first = use(dying)
    publishing = asyncio.create_task(link.publish(cast("Any", Message()), "stt.requests", wanted=lambda: True))
    await first.lost.wait()
    use(well)
    await publishing
    assert well.taken == ["stt.requests"]


class Message:
    """As much of a message as a publish reads."""

    message_id = "m"
    body = b""


@pytest.mark.parametrize("error", ABANDONED, ids=repr)
async def test_a_requester_whose_look_was_broken_off_counts_as_there(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work is not refused on a guess, and the request must not lose a try."""
    watcher = Watcher()
    publisher = AmqpPublisher(Link("direct", SecretStr("amqp://127.0.0.1:1/"), "w", watcher), watcher)

    async def look(_queue: str) -> None:
        raise error

    publisher._open.set()
    monkeypatch.setattr(publisher, "_look", look)
    assert await publisher.exists("amq.rabbitmq.reply-to.x")
