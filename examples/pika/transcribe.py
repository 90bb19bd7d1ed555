"""Files in, texts out, with pika and nothing of ours: the contract for any AMQP client.

`python transcribe.py note.ogg more.mp3`. All notes are sent at once; answers are told apart by correlation id.
"""

import json
import os
import sys
import time
import uuid
from pathlib import Path

import pika
import pika.exceptions

TIMEOUT = 120
"""Seconds for all notes together."""


def main(paths: list[str]) -> int:
    """Send, collect, print; 1 if a note failed or was not answered."""
    notes = read(paths)
    connection = connect(os.environ.get("STTD_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/"))
    channel = connection.channel()
    channel.confirm_delivery()  # publishing returns when RabbitMQ has the note on disk
    inbox = channel.queue_declare("", exclusive=True).method.queue
    waiting: dict[str, str] = {}
    for path, note in notes.items():
        waiting[send(channel, inbox, note)] = path
    failed = 0
    end = time.monotonic() + TIMEOUT
    for _, properties, body in channel.consume(inbox, auto_ack=True, inactivity_timeout=1):
        if properties is not None and properties.type != "stt.progress.v1" and properties.correlation_id in waiting:
            reply = json.loads(body)
            failed += reply["status"] == "failed"
            print(
                f"{waiting.pop(properties.correlation_id)}: "
                f"{reply['text'] if 'text' in reply else reply['error']['code']}"
            )
        if not waiting or time.monotonic() > end:
            break
    connection.close()
    for path in waiting.values():
        print(f"{path}: no answer within {TIMEOUT} s", file=sys.stderr)
    return 1 if failed or waiting else 0


def read(paths: list[str]) -> dict[str, bytes]:
    """The files; a wrong name ends the program before anything is sent."""
    try:
        return {path: Path(path).read_bytes() for path in paths}
    except OSError as error:
        raise SystemExit(f"{error.filename}: {error.strerror}") from None


def connect(url: str) -> pika.BlockingConnection:
    """The connection."""
    try:
        return pika.BlockingConnection(pika.URLParameters(url))
    except (pika.exceptions.AMQPConnectionError, OSError):  # OSError: a host that no name server knows
        raise SystemExit("no connection to RabbitMQ: is it running, and is STTD_AMQP_URL right?") from None


def send(channel: pika.adapters.blocking_connection.BlockingChannel, inbox: str, note: bytes) -> str:
    """Publish one note; its id."""
    name = str(uuid.uuid4())
    properties = pika.BasicProperties(
        correlation_id=name,
        message_id=name,
        reply_to=inbox,
        delivery_mode=2,  # survives a restart of RabbitMQ
        timestamp=int(time.time()),
        headers={"stt-language": "ru", "stt-deadline": int((time.time() + TIMEOUT) * 1000)},
    )
    try:
        channel.basic_publish("", "stt.requests", note, properties, mandatory=True)
    except pika.exceptions.UnroutableError:
        raise SystemExit("queue stt.requests does not exist: no daemon has ever served this RabbitMQ") from None
    except pika.exceptions.NackError:
        raise SystemExit("RabbitMQ did not take a note: the queue is full, try later") from None
    return name


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except pika.exceptions.AMQPConnectionError as error:
        sys.exit(f"the connection to RabbitMQ is gone: {error}")
