"""How the harness asks a peer: one small client for each way that peers are reached.

All give an `Answer`, and raise `PeerFailed`. Runs in the harness; its core time is no peer's.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

import aio_pika
import httpx

from bench.notes import Note
from bench.peers.host import HEADER
from bench.process import PeerFailed

PATIENCE: Final = 900.0
"""Seconds that one note may take: a burst of 200 at one a second, and a long file."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One note's text, the stages that the peer reports, and when it was asked and answered (monotonic seconds)."""

    text: str
    asked: float
    answered: float
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the first byte sent to the whole answer read."""
        return self.answered - self.asked


class Client(Protocol):
    """Asks one peer; any number of calls at a time."""

    async def open(self) -> None:
        """Connect."""

    async def ask(self, note: Note, **options: Any) -> Answer:
        """Have one note transcribed."""

    async def close(self) -> None:
        """Disconnect."""


class SocketClient:
    """For peers behind `peers.host`."""

    def __init__(self, socket: Path) -> None:
        """The socket that the peer listens on."""
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0

    async def open(self) -> None:
        """Connect; one connection carries all notes."""
        reader, self._writer = await asyncio.open_unix_connection(str(self._socket), limit=2**22)
        self._reading = asyncio.create_task(self._read(reader), name="peer-answers")

    async def ask(self, note: Note, **options: Any) -> Answer:
        """Options are the peer's own, given at its start; none is taken here."""
        if options:
            raise PeerFailed(f"takes no options per note: {', '.join(options)}")
        self._number += 1
        number, waiting = self._number, asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        asked = time.monotonic()
        self._writer.write(HEADER.pack(number, len(note.audio)) + note.audio)
        async with asyncio.timeout(PATIENCE):
            said = await waiting
        if "error" in said:
            raise PeerFailed(said["error"])
        return Answer(said["text"], asked, time.monotonic(), said["timings"])

    async def close(self) -> None:
        """Hang up."""
        self._reading.cancel()
        self._writer.close()
        await asyncio.wait({self._reading})
        await self._writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            said = json.loads(line)
            self._waiting.pop(said["id"]).set_result(said)
        for waiting in self._waiting.values():
            waiting.set_exception(PeerFailed("hung up"))


class QueueClient:
    """For workers on RabbitMQ, ours and others: a confirmed publish, an answer by correlation id on an own queue.

    No `timestamp`: AMQP has whole seconds there, so that a time in the queue computed from it would be noise.
    """

    def __init__(self, url: str, queue: str) -> None:
        """`queue`: where requests go; options go into headers, as in the contract."""
        self._url = url
        self._queue = queue
        self._waiting: dict[str, asyncio.Future[tuple[float, dict[str, Any]]]] = {}

    async def open(self) -> None:
        """Connect and listen."""
        self._connection = await aio_pika.connect(self._url)
        self._channel = await self._connection.channel()
        replies = await self._channel.declare_queue("", exclusive=True)
        self._reply_to = replies.name
        await replies.consume(self._take, no_ack=True)

    async def ask(self, note: Note, *, queue: str | None = None, **options: Any) -> Answer:
        """`queue`: another than the usual one."""
        name, waiting = uuid4().hex, asyncio.get_running_loop().create_future()
        self._waiting[name] = waiting
        message = aio_pika.Message(
            note.audio,
            headers={f"stt-{option.replace('_', '-')}": str(value).lower() for option, value in options.items()},
            correlation_id=name,
            message_id=name,
            reply_to=self._reply_to,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        asked = time.monotonic()
        await self._channel.default_exchange.publish(message, queue or self._queue)
        async with asyncio.timeout(PATIENCE):
            answered, said = await waiting
        if said["status"] != "completed":
            raise PeerFailed(said["error"]["code"])
        stages = {stage: seconds for stage, seconds in said["timings"].items() if seconds is not None}
        return Answer(said["text"], asked, answered, stages)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def _take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        said = json.loads(message.body)
        waiting = self._waiting.pop(str(message.correlation_id), None)
        if waiting is not None and not waiting.done():
            waiting.set_result((time.monotonic(), said))


class FormClient:
    """For the old service: a multipart form over HTTP."""

    def __init__(self, url: str) -> None:
        """`url`: of the service, without a path."""
        self._url = url

    async def open(self) -> None:
        """Connections are opened as they are needed, and kept."""
        self._http = httpx.AsyncClient(base_url=self._url, timeout=PATIENCE, limits=httpx.Limits(max_connections=None))

    async def ask(self, note: Note, **options: Any) -> Answer:
        """The old service takes no options."""
        if options:
            raise PeerFailed(f"takes no options: {', '.join(options)}")
        asked = time.monotonic()
        try:
            answer = await self._http.post("/transcribe", files={"file": ("note.ogg", note.audio)})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise PeerFailed(f"{type(error).__name__}: {error}") from error
        return Answer(answer.json()["text"], asked, time.monotonic())

    async def close(self) -> None:
        """Close what was kept."""
        await self._http.aclose()
