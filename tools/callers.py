"""Bad callers of the gateway, many at once: slow, broken, endless and abandoned uploads.

`python -m tools.callers HOST PORT COUNT` runs them until it is killed.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import pika

PACE: Final = 0.05
"""Seconds between two pieces of 64 KiB of those who send much: 1.3 MB a second each."""

BOUNDARY: Final = "xyzzy"


@contextlib.contextmanager
def occupied(url: str, queue: str) -> Iterator[None]:
    """A daemon in the eyes of the gateway: a consumer of the queue, at work on one note for ever; others wait.

    Without it the gateway reads no upload.
    """
    with pika.BlockingConnection(pika.URLParameters(f"{url}?heartbeat=0")) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        channel.basic_publish("", queue, b"its note")
        held: list[bytes] = []
        channel.basic_consume(queue, lambda *delivery: held.append(delivery[-1]))
        while not held:
            connection.process_data_events(1)
        yield


def head(path: str = "/transcribe", *, length: int | None) -> bytes:
    """The head of a form's request; without a length it is chunked."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{kind}\r\n{size}\r\n\r\n".encode()


def part(name: str = "file", filename: str | None = "voice.ogg") -> bytes:
    """The beginning of one part of a form."""
    named = "" if filename is None else f'; filename="{filename}"'
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode()


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


Caller = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def slow_head(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Slow-loris: one byte of the head now and then, for ever."""
    for byte in b"POST /transcribe HTTP/1.1\r\nHost: " + b"x" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def slow_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A form of 10 MB, some bytes now and then."""
    writer.write(head(length=10_000_000) + part())
    while True:
        writer.write(b"a" * 512)
        await writer.drain()
        await asyncio.sleep(0.2)


async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Half a megabyte at once, then nothing, for ever."""
    writer.write(head(length=1_000_000) + part() + b"a" * 500_000)
    await writer.drain()
    await reader.read()


async def claims_much(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Announces 2 GB and begins to send them, whatever the answer."""
    writer.write(head(length=2_000_000_000) + part())
    while True:
        writer.write(b"a" * 65_536)
        await writer.drain()
        await asyncio.sleep(PACE)


async def sends_without_end(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A chunked body that never ends."""
    writer.write(head(length=None) + chunk(part()))
    while True:
        writer.write(chunk(b"a" * 65_536))
        await writer.drain()
        await asyncio.sleep(PACE)


async def wrong_form(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body that is no form at all, or one that stops in its middle."""
    body = b"this is not a form\r\n" * 100
    writer.write(head(length=len(body)) + body)
    writer.write(head(length=200) + part() + b"a" * (200 - len(part())))
    await writer.drain()
    await reader.read()


async def hangs_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a part of a form and resets the connection."""
    writer.write(head(length=5_000_000) + part() + b"a" * 300_000)
    await writer.drain()
    await asyncio.sleep(0.5)
    writer.transport.abort()


BAD_CALLERS: Final[tuple[Caller, ...]] = (
    slow_head,
    slow_body,
    stalls,
    claims_much,
    sends_without_end,
    wrong_form,
    hangs_up,
)


@contextlib.contextmanager
def siege(address: tuple[str, int], count: int) -> Iterator[subprocess.Popen[bytes]]:
    """`besiege` in a process of its own, so that it does not slow down its observer; ended with the block."""
    command = [sys.executable, "-m", "tools.callers", *map(str, (*address, count))]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1]) as process:  # noqa: S603 - our own module
        try:
            yield process
        finally:
            process.kill()


async def besiege(address: tuple[str, int], count: int) -> None:
    """Let `count` bad callers of all kinds at a gateway, until the process is killed.

    A caller that is thrown out comes back.
    """

    async def one(call: Caller) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(*address)
                try:
                    await call(reader, writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as callers:
        for index in range(count):
            callers.create_task(one(BAD_CALLERS[index % len(BAD_CALLERS)]))


if __name__ == "__main__":
    asyncio.run(besiege((sys.argv[1], int(sys.argv[2])), int(sys.argv[3])))
