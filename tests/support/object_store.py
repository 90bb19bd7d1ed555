"""Object stores for tests: moto's S3 server as a process that checks signatures, a faulty proxy, and a fake.

The proxy passes bytes on as they are, so that signatures stay true, unless the key is `rude/<how>`.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import boto3

from sttd.consumer.refs.seam import ObjectDenied, StoredObject, StoreUnavailable
from sttd.schemas.reference import Reference
from tests.support.waiting import wait_for

REGION = "us-east-1"
BUCKET = "voice"
OTHER_BUCKET = "secrets"
_HEAD = "HTTP/1.1 {status}\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n{more}\r\n"
_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::*"}],
}


@dataclass
class S3Server:
    """A running server with two buckets. `access_key`, `secret_key`: a user who may only read objects."""

    port: int
    access_key: str
    secret_key: str
    owner: Any

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, key: str, content: bytes, bucket: str = BUCKET) -> str:
        """Store an object as its owner, as a bot would; return the reference to it."""
        self.owner.put_object(Bucket=bucket, Key=key, Body=content)
        return f"s3://{bucket}/{key}"


@contextmanager
def s3_server(log: Path) -> Iterator[S3Server]:
    """Start moto's server on a free port and end it with the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=sink,
            stderr=sink,
            env=environment,
        )
    try:
        yield _furnished(port, process)
    finally:
        process.terminate()
        process.wait(10)


def _furnished(port: int, process: subprocess.Popen[bytes]) -> S3Server:
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, "the S3 server ended"
        return _answers(f"{address}/moto-api/")

    wait_for(answers, "S3 server")
    users = _client("iam", address, "test", "test")
    keys = {}
    for user, policy in (("bot", _policy("s3:*")), ("daemon", _POLICY)):
        users.create_user(UserName=user)
        users.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps(policy))
        made = users.create_access_key(UserName=user)["AccessKey"]
        keys[user] = made["AccessKeyId"], made["SecretAccessKey"]
    users.close()
    lock = urllib.request.Request(f"{address}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"})
    with urllib.request.urlopen(lock, timeout=10):
        pass  # from here on signatures and policies are checked
    owner = _client("s3", address, *keys["bot"])
    for bucket in (BUCKET, OTHER_BUCKET):
        owner.create_bucket(Bucket=bucket)
    return S3Server(port, *keys["daemon"], owner)


def _policy(action: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}


def _client(service: str, address: str, key: str, secret: str) -> Any:
    return boto3.client(
        service, endpoint_url=address, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


class Door:
    """Listens on loopback before an S3 server.

    `asked`: request lines; `sent`: body bytes of faulty answers that were read.
    """

    def __init__(self, behind: int, elsewhere: str = "http://127.0.0.1:9/") -> None:
        self._behind = behind
        self._elsewhere = elsewhere
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.asked: list[str] = []
        self.sent = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def endpoint(self) -> str:
        """Its address, the same after it was closed and opened again."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Listen, on the port of last time."""
        self._call(self._open())

    def close(self) -> None:
        """Refuse connections, end those that are there."""
        self._call(self._close())

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line = head.split(b"\r\n")[0].decode()
                self.asked.append(line)
                how = re.search(r"/rude/(\w+)", line)
                if how is None:
                    await self._pass_on(head, reader, writer)
                    break
                await getattr(self, f"_{how[1]}")(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the daemon has gone, which is often the point
        finally:
            writer.close()

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        their_writer.write(head)
        pumps = [
            self._loop.create_task(_pump(reader, their_writer)),
            self._loop.create_task(_pump(their_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            their_writer.close()

    async def _flood(self, writer: asyncio.StreamWriter) -> None:
        """A body without a length that never ends."""
        writer.write(_HEAD.format(status="200 OK", more="").encode())
        while True:
            writer.write(bytes(65536))
            await writer.drain()
            self.sent += 65536

    async def _boast(self, writer: asyncio.StreamWriter) -> None:
        """A length of a gigabyte."""
        writer.write(_HEAD.format(status="200 OK", more="Content-Length: 1000000000\r\n").encode())
        await self._never()

    async def _stand_still(self, writer: asyncio.StreamWriter) -> None:
        """A few bytes, and then silence."""
        writer.write(_HEAD.format(status="200 OK", more="Content-Length: 1000\r\n").encode() + b"RIFF")
        await self._never()

    async def _short(self, writer: asyncio.StreamWriter) -> None:
        """Less than was announced, and the end of the connection."""
        writer.write(_HEAD.format(status="200 OK", more="Content-Length: 1000\r\n").encode() + b"RIFF")
        await writer.drain()
        raise ConnectionError

    async def _elsewhere_307(self, writer: asyncio.StreamWriter) -> None:
        """A redirect to another address."""
        more = f"Location: {self._elsewhere}\r\nContent-Length: 0\r\n"
        writer.write(_HEAD.format(status="307 Temporary Redirect", more=more).encode())
        await writer.drain()

    async def _busy(self, writer: asyncio.StreamWriter) -> None:
        """What S3 answers when it has too much to do."""
        body = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please</Message></Error>"
        writer.write(_HEAD.format(status="503 Slow Down", more=f"Content-Length: {len(body)}\r\n").encode() + body)
        await writer.drain()

    async def _never(self) -> None:
        await asyncio.Event().wait()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@contextmanager
def listener() -> Iterator[socket.socket]:
    """A port on which a connection would be seen: `accept` raises `BlockingIOError` as long as there was none."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.setblocking(False)
        yield found


@dataclass
class FakeStore:
    """An `ObjectStore` in memory. `down`: it answers nothing. `reading_now`: objects that are open."""

    objects: dict[Reference, bytes] = field(default_factory=dict)
    down: bool = False
    says_size: bool = True
    held: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    reading_now: int = 0
    chunks_read: int = 0

    @asynccontextmanager
    async def reading(self, reference: Reference) -> AsyncGenerator[StoredObject]:
        if self.down:
            raise StoreUnavailable("the object store does not answer")
        if reference not in self.objects:
            raise ObjectDenied("there is no such object, or this daemon may not read it")
        content = self.objects[reference]
        self.reading_now += 1
        try:
            yield StoredObject(len(content) if self.says_size else None, self._chunks(content))
        finally:
            self.reading_now -= 1

    async def _chunks(self, content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100):
            self.entered.set()
            if self.held is not None:
                await self.held.wait()
            self.chunks_read += 1
            yield content[start : start + 100]
