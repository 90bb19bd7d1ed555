"""Files in, texts out, with FastStream's `request()`: direct reply-to, in one line.

`python transcribe.py note.ogg more.mp3`. FastStream owns the reply queue; what comes back is the contract's JSON.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from aio_pika.exceptions import AMQPConnectionError, PublishError
from faststream.rabbit import Channel, RabbitBroker

TIMEOUT = 120.0
"""Seconds for one note."""


def read(paths: list[str]) -> list[bytes]:
    """The files; a wrong name ends the program before anything is sent."""
    try:
        return [Path(path).read_bytes() for path in paths]
    except OSError as error:
        raise SystemExit(f"{error.filename}: {error.strerror}") from None


async def transcribe(broker: RabbitBroker, note: bytes) -> dict[str, Any]:
    """The reply to one note, completed or failed."""
    deadline = int((time.time() + TIMEOUT) * 1000)
    answer = await broker.request(
        note,
        "stt.requests",
        message_id=str(uuid4()),
        headers={"stt-language": "ru", "stt-deadline": deadline},
        persist=True,
        timeout=TIMEOUT,
    )
    reply: dict[str, Any] = json.loads(answer.body)
    return reply


async def main(paths: list[str], notes: list[bytes]) -> int:
    """Send all at once, print in order; 1 if a note failed."""
    url = os.environ.get("STTD_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
    try:
        async with RabbitBroker(url, default_channel=Channel(on_return_raises=True)) as broker:
            replies = await asyncio.gather(*(transcribe(broker, note) for note in notes))
    except PublishError:
        print("queue stt.requests does not exist: no daemon has ever served this RabbitMQ", file=sys.stderr)
        return 1
    except TimeoutError:
        print(f"no answer within {TIMEOUT:g} s", file=sys.stderr)
        return 1
    except AMQPConnectionError:
        print("no connection to RabbitMQ: is it running, and is STTD_AMQP_URL right?", file=sys.stderr)
        return 1
    for path, reply in zip(paths, replies, strict=True):
        print(f"{path}: {reply['text'] if reply['status'] == 'completed' else reply['error']['code']}")
    return any(reply["status"] == "failed" for reply in replies)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:], read(sys.argv[1:]))))
