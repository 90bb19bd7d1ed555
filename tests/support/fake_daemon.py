"""A daemon without a model: takes requests from a real RabbitMQ and sends scripted answers, by the contract's models.

Shares no line with the daemon, so that a client's test proves the contract and not the daemon.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reply import Failure, FailureDetail, Progress, Transcript, reply_id
from tools.messages import examples


def transcript(message: AbstractIncomingMessage, text: str | None = None) -> Transcript:
    """A canned transcript; its text is the request's body unless given."""
    given: dict[str, Any] = {"correlation_id": message.correlation_id, "message_id": message.message_id, "segments": []}
    return examples.TRANSCRIPT.model_copy(update=given | {"text": message.body.decode() if text is None else text})


def failure(message: AbstractIncomingMessage, code: str, *, retryable: bool | None = None) -> Failure:
    """A canned failure with this code."""
    flag = {str(known): known.retryable for known in ErrorCode}.get(code, False) if retryable is None else retryable
    detail = FailureDetail(code=code, message=f"it is {code}", retryable=flag, details={"why": "scripted"})
    return Failure(
        correlation_id=message.correlation_id, message_id=message.message_id, error=detail, attempt=1, worker="fake"
    )


def progress(message: AbstractIncomingMessage, fraction: float) -> Progress:
    """A canned progress message."""
    return Progress(
        correlation_id=message.correlation_id, message_id=message.message_id, fraction=fraction, text="so far"
    )


Script = Callable[["FakeDaemon", AbstractIncomingMessage], Awaitable[None]]


async def echo(daemon: "FakeDaemon", message: AbstractIncomingMessage) -> None:
    """The default script: the body is the text."""
    await daemon.reply(message, transcript(message))


async def silent(_daemon: "FakeDaemon", _message: AbstractIncomingMessage) -> None:
    """Hold the request in hand, unacked, and never answer."""
    await asyncio.Event().wait()


class FakeDaemon:
    """Consumes one request queue while the `async with` block runs; replies, then acks, and reconnects by itself."""

    def __init__(
        self,
        url: str,
        script: Script = echo,
        *,
        queue: str = names.REQUESTS,
        arguments: dict[str, Any] | None = None,
        confirmed: bool = False,
    ) -> None:
        """Open nothing yet.

        `arguments` of the queue, for tests of its limits; `confirmed`: ack after the broker has the answer on disk.
        """
        self._url = url
        self._script = script
        self._queue = queue
        self._confirmed = confirmed
        self._arguments = arguments or {"x-queue-type": "quorum"}
        self.seen: list[AbstractIncomingMessage] = []
        self.arrived = asyncio.Semaphore(0)
        """Released once for each request taken."""

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect_robust(self._url, reconnect_interval=0.1)
        channel = await self._connection.channel(publisher_confirms=self._confirmed)
        self._exchange = channel.default_exchange
        queue = await channel.declare_queue(self._queue, durable=True, arguments=self._arguments)
        await queue.consume(self._take)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self.seen.append(message)
        self.arrived.release()
        try:
            await self._script(self, message)
            await message.ack()
        except CONNECTION_EXCEPTIONS:  # unacked: the broker delivers it again
            if not self._confirmed:
                raise

    async def reply(self, message: AbstractIncomingMessage, answer: Transcript | Failure | Progress | bytes) -> None:
        """Publish one reply in the contract's form; bytes go as they are."""
        assert message.reply_to is not None
        body = answer if isinstance(answer, bytes) else answer.model_dump_json().encode()
        identity = reply_id(
            message_id=message.message_id,
            reply_to=message.reply_to,
            correlation_id=message.correlation_id,
            body=message.body,
        )
        mode = aio_pika.DeliveryMode.PERSISTENT if self._confirmed else None
        answered = aio_pika.Message(
            body, correlation_id=message.correlation_id, headers={names.REPLY_ID_HEADER: identity}, delivery_mode=mode
        )
        await self._exchange.publish(answered, message.reply_to)


@asynccontextmanager
async def control(url: str) -> AsyncIterator[list[str]]:
    """What daemons get on the control exchange: the ids of cancelled requests, in order."""
    heard: list[str] = []

    async def take(message: AbstractIncomingMessage) -> None:
        body = json.loads(message.body)
        assert set(body) == {"cancel"}
        heard.append(body["cancel"])

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(names.CONTROL_EXCHANGE, "fanout", durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange)
        await queue.consume(take, no_ack=True)
        yield heard
