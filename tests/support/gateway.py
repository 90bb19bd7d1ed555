"""The gateway as a subprocess, as an operator runs it; and callers who do everything that callers should not.

Never looks inside the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.support.waiting import PATIENCE, wait_for

PACE: Final = 0.05
"""Seconds between two pieces of 64 KiB of those who send much: 1.3 MB a second each."""

BOUNDARY: Final = "xyzzy"


class GatewayProcess:
    """One `sttd gateway` on a free port with a JSON log in a file and an empty directory for temporary files."""

    def __init__(self, amqp_url: str, folder: Path, **settings: str) -> None:
        """`settings`: without prefix, lower case: `gateway_timeout="2"` is STTD_GATEWAY_TIMEOUT=2."""
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self._log_path = folder / "gateway.log"
        wanted = {"amqp_url": amqp_url, "gateway_port": "0", "log_format": "json"} | settings
        self._env = {key: value for key, value in os.environ.items() if not key.startswith("STTD_")}
        self._env |= {f"STTD_{name.upper()}": value for name, value in wanted.items()} | {"TMPDIR": str(self.temporary)}
        self.url = ""

    def __enter__(self) -> Self:
        """Start and wait until it listens. The working directory holds no `.env`."""
        with self._log_path.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sttd.gateway"],
                env=self._env,
                stdout=sink,
                stderr=sink,
                cwd=self._log_path.parent,
            )
        self.url = self.wait_log("listening")["url"]
        return self

    def __exit__(self, *_exception: object) -> None:
        """End it whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = httpx.URL(self.url)
        return parts.host, parts.port or 80

    @property
    def log(self) -> str:
        """All that it has written."""
        return self._log_path.read_text()

    def lines(self, action: str) -> list[dict[str, Any]]:
        """The log lines of one `action`, oldest first."""
        parsed = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in parsed if line.get("action") == action]

    def wait_log(self, action: str) -> dict[str, Any]:
        """Wait for a log line of this `action`; return the newest."""
        found: list[dict[str, Any]] = self.wait(lambda: self.lines(action), f"log action {action}")
        return found[-1]

    def wait(self, look: Callable[[], Any], what: str) -> Any:
        """Wait until `look` finds something; fail with the log's end."""

        def found() -> Any:
            ended = self.process.poll()
            if not (seen := look()):
                assert ended is None, f"the gateway exited with {ended} before {what}:\n{self.log[-3000:]}"
            return seen

        return wait_for(found, what, words=lambda: f":\n{self.log[-3000:]}")

    def wait_health(self, status: int) -> httpx.Response:
        """Wait until `/health` answers with this status."""
        answer: httpx.Response = self.wait(lambda: self._health(status), f"health {status}")
        return answer

    def _health(self, status: int) -> httpx.Response | None:
        answer = httpx.get(f"{self.url}/health", timeout=PATIENCE)
        return answer if answer.status_code == status else None

    def post(
        self, path: str, audio: bytes, fields: Mapping[str, str] | None = None, *, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Post a form with the audio as `file`."""
        files = {"file": ("voice.ogg", audio, "audio/ogg")}
        return httpx.post(f"{self.url}{path}", files=files, data=fields, headers=headers, timeout=PATIENCE)

    def open_files(self) -> int:
        """How many descriptors it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def stop(self) -> int:
        """SIGTERM and wait; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def head(path: str = "/transcribe", *, length: int | None, boundary: str = BOUNDARY) -> bytes:
    """The head of a form's request; without a length it is chunked."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n{size}\r\n\r\n".encode()


def part(name: str = "file", filename: str | None = "voice.ogg") -> bytes:
    """The beginning of one part of a form."""
    named = "" if filename is None else f'; filename="{filename}"'
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode()


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


Caller = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Slow-loris: one byte of the head now and then, for ever."""
    for byte in b"POST /transcribe HTTP/1.1\r\nHost: " + b"x" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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


async def claims_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Announces 2 GB and begins to send them, whatever the answer."""
    writer.write(head(length=2_000_000_000) + part())
    while True:
        writer.write(b"a" * 65_536)
        await writer.drain()
        await asyncio.sleep(PACE)


async def sends_without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
    """`besiege` in a process of its own, so that it does not slow down who looks on; ended with the block."""
    program = f"import asyncio; from tests.support import gateway; asyncio.run(gateway.besiege({address!r}, {count}))"
    with subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2]) as process:
        try:
            yield process
        finally:
            process.kill()


async def besiege(address: tuple[str, int], count: int) -> None:
    """Let `count` bad callers of all kinds at a gateway, until the process is killed; whoever is thrown out comes back."""

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
