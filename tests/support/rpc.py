"""Another client: pika, no code of ours, raw bytes in, parsed JSON out.

Made from the contract's documents only: queue names and property meanings are spelled out here on purpose.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Self

import pika

from tests.support.waiting import PATIENCE, Deadline


@dataclass
class Answer:
    """One reply as the wire has it."""

    properties: pika.BasicProperties
    body: dict[str, Any]

    @property
    def code(self) -> str | None:
        """The failure's code, None for a transcript."""
        error = self.body.get("error")
        return error["code"] if error else None


@dataclass
class Rpc:
    """pika's RPC pattern: an exclusive, server-named reply queue on a blocking connection."""

    url: str
    reply_to: str = ""
    answers: list[Answer] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._connection = pika.BlockingConnection(pika.URLParameters(self.url))
        self._channel = self._connection.channel()
        if not self.reply_to:
            self.reply_to = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.basic_consume(self.reply_to, self._take, auto_ack=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _take(self, _channel: Any, _method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self.answers.append(Answer(properties, json.loads(body)))

    def send(self, body: bytes, *, queue: str = "stt.requests", **properties: Any) -> None:
        """Publish one request that asks for its answer here, unless `reply_to` is given."""
        wanted = {"reply_to": self.reply_to, "delivery_mode": 2} | properties
        self._channel.basic_publish("", queue, body, pika.BasicProperties(**wanted))

    def flush(self) -> None:
        """Make sure that the broker has what was sent: a round trip on the same channel comes after it."""
        self._channel.queue_declare("stt.requests", passive=True)

    def collect(self, count: int, seconds: float = PATIENCE) -> list[Answer]:
        deadline = Deadline(seconds)
        while len(self.answers) < count and not deadline.passed:
            self._connection.process_data_events(time_limit=0.5)
        shown = [answer.body for answer in self.answers][:5]
        assert len(self.answers) >= count, f"{len(self.answers)} of {count} answers after {seconds:g} s: {shown}"
        return self.answers

    def ask(self, body: bytes, **properties: Any) -> Answer:
        """Publish one request and return the next answer."""
        count = len(self.answers) + 1
        self.send(body, **properties)
        return self.collect(count)[count - 1]
