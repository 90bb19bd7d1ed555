"""A bot: `python -m tools.compose_check.bot send|collect COUNT`, with the user's address in STTD_AMQP_URL.

`send` publishes notes, confirmed, that ask for their answers on a durable queue. `collect` reads until each has been
answered and prints how many are, one number a line; at the end a JSON object: `lost`, `double`, `texts`.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections import Counter
from typing import Any, Final

import aio_pika

from sttd.samples import samples

INBOX: Final = "sttd.client.compose-check"
REQUESTS: Final = "stt.requests"
SILENCE_SECONDS: Final = 180.0
"""After so long without any answer the rest is lost."""


async def main(verb: str, count: int) -> None:
    """Do one of the two."""
    connection = await aio_pika.connect(os.environ["STTD_AMQP_URL"])
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        inbox = await channel.declare_queue(INBOX, durable=True)
        await (send(channel, count) if verb == "send" else collect(inbox, count))


async def send(channel: aio_pika.abc.AbstractChannel, count: int) -> None:
    """Publish notes with the ids 0, 1, 2 ..."""
    note = samples()[0]
    body = await asyncio.to_thread(note.path.read_bytes)
    for number in range(count):
        message = aio_pika.Message(
            body,
            message_id=f"{number}",
            correlation_id=f"{number}",
            reply_to=INBOX,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            headers={"stt-language": note.language},
        )
        await channel.default_exchange.publish(message, REQUESTS, mandatory=True)


class Ledger:
    """Which of the ids 0, 1, 2 ... have been answered, and with what."""

    def __init__(self, count: int) -> None:
        """`count`: how many answers are due."""
        self._due = count
        self._answers: Counter[str] = Counter()
        self._texts: Counter[str] = Counter()

    def add(self, wanted: str, told: dict[str, Any]) -> None:
        """Note an answer by its correlation id."""
        self._answers[wanted] += 1
        self._texts[told["text"] if told["status"] == "completed" else told["error"]["code"]] += 1

    @property
    def answered(self) -> int:
        """How many of the ids."""
        return len(self._answers)

    @property
    def complete(self) -> bool:
        """Whether every id has an answer."""
        return self.answered >= self._due

    def report(self) -> dict[str, Any]:
        """`lost`, `double`, and each text or error code with how often it came."""
        double = self._answers.total() - self.answered
        return {"lost": self._due - self.answered, "double": double, "texts": dict(self._texts)}


async def collect(inbox: aio_pika.abc.AbstractQueue, count: int) -> None:
    """Count answers until every id has one, or none has come for long."""
    ledger = Ledger(count)
    with contextlib.suppress(TimeoutError):  # what has not come by then is lost
        async with inbox.iterator(timeout=SILENCE_SECONDS) as messages:
            async for message in messages:
                await message.ack()
                ledger.add(message.correlation_id or "", json.loads(message.body))
                sys.stdout.write(f"{ledger.answered}\n")
                sys.stdout.flush()
                if ledger.complete:
                    break
    sys.stdout.write(f"{json.dumps(ledger.report(), ensure_ascii=False)}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
