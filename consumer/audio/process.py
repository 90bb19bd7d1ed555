"""One decoder child from the parent's side: start it, give it a file, collect PCM, kill it.

Second tries are the pool's.
"""

import asyncio
import contextlib
import json
import math
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from sttd.consumer.audio import wire
from sttd.consumer.audio.limits import MIB, DecodeLimits, pcm_bytes
from sttd.consumer.errors import AudioRejected, StartupError
from sttd.consumer.pcm import SAMPLE_RATE
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reply import AudioInfo

START_SECONDS: Final = 30.0
"""An import of av takes 0.1 s; this is for a machine that is starting ten other programs."""
READ_AHEAD: Final = MIB
_BOOT: Final = (
    "import json,sys; sys.path[:] = json.loads(sys.argv[1]); from sttd.consumer.audio import child; "
    "child.main(sys.argv[2])"
)
_REFUSALS: Final = {
    str(code): code
    for code in (
        ErrorCode.UNSUPPORTED_MEDIA,
        ErrorCode.AUDIO_UNREADABLE,
        ErrorCode.NO_AUDIO_STREAM,
        ErrorCode.AUDIO_EMPTY,
        ErrorCode.AUDIO_TOO_LONG,
    )
}
"""The error codes that a child may report of a file."""


class ChildLoss(StrEnum):
    """Why a child ended."""

    DIED = "died"
    TIMED_OUT = "timed_out"
    PROTOCOL = "protocol"
    CANCELLED = "cancelled"
    RECYCLED = "recycled"


class ChildLost(Exception):
    """The child must not be used again; the file in hand may be the reason, or not."""

    def __init__(self, loss: ChildLoss) -> None:
        super().__init__(loss.value)
        self.loss = loss


class NeedsRoom(Exception):
    """The file holds more sound than its room; the child may be used again."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how much sound it seems to be; finite and above zero."""
        super().__init__(seconds)
        self.seconds = seconds


def child_command() -> tuple[str, ...]:
    """The command that starts a child; the pool appends the settings.

    Isolated (`-I`: no environment, no user site, no working directory on the path) and without `site`; the child
    imports from exactly where this process does.
    """
    home = str(Path(__file__).resolve().parents[2])
    path = [str(Path(entry).resolve()) for entry in sys.path]
    return (sys.executable, "-I", "-S", "-c", _BOOT, json.dumps([*path, *([] if home in path else [home])]))


class ChildProcess:
    """A running child; one file at a time."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: DecodeLimits,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self.files = 0
        self.confinement: tuple[str, ...] = ()

    @classmethod
    async def start(cls, command: Sequence[str], limits: DecodeLimits) -> "ChildProcess":
        """Start a child and wait until it is ready. Raises `StartupError` with the last line that it printed."""
        settings = json.dumps({"parent": os.getpid(), "limits": asdict(limits)})
        # The directory is removed once the child stands in it: no relative name leads anywhere, nothing is left behind.
        try:
            with tempfile.TemporaryDirectory(prefix="sttd-decoder-") as empty:
                child = cls(*await _spawn((*command, settings), empty), limits)
                await child._ready()
                return child
        except OSError as error:
            raise StartupError(f"the decoder process cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs, as far as is known."""
        return self._process.returncode is None

    async def decode(self, audio: bytes, room_seconds: float) -> tuple[bytearray, AudioInfo]:
        """Decode one file of at most `room_seconds` to PCM (s16le, mono, 16 kHz).

        Raises `AudioRejected` when the file is refused, `NeedsRoom` when it is longer, `ChildLost` when the child must
        not be used again.
        """
        self.files += 1
        try:
            async with asyncio.timeout(self._limits.decode_seconds):
                await self._send(audio, room_seconds)
                return await self._collect(pcm_bytes(room_seconds))
        except TimeoutError:
            raise ChildLost(ChildLoss.TIMED_OUT) from None
        except (OSError, asyncio.IncompleteReadError):
            raise ChildLost(ChildLoss.DIED) from None
        except (wire.WireError, ValidationError):
            raise ChildLost(ChildLoss.PROTOCOL) from None

    def kill(self) -> None:
        """End the child at once, whatever it is doing; `wait` afterwards."""
        self._writer.close()
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                # Not `Process.kill()`: it first polls whether the process has ended, and so takes the exit status away
                # from the event loop's own watcher, which then logs an unknown child.
                os.kill(self.pid, signal.SIGKILL)

    async def wait(self) -> None:
        """Wait until the process is gone and its ends are closed."""
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await self._process.wait()

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                header, _ = await self._receive(0)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, wire.WireError) as error:
            raise StartupError(f"the decoder process cannot start: {await self._last_words()}") from error
        except asyncio.CancelledError:
            self.kill()
            await self.wait()
            raise
        if header["kind"] != wire.READY:
            self.kill()
            await self.wait()
            raise StartupError("the decoder process cannot start: it began with something else than ready")
        self.confinement = tuple(map(str, header.get("confinement", ())))

    async def _last_words(self) -> str:
        self.kill()
        printed = await self._process.stderr.read(READ_AHEAD) if self._process.stderr else b""
        await self.wait()
        last = printed.decode(errors="replace").strip().rpartition("\n")[2]
        return last[:300] if last else f"exit status {self._process.returncode}"

    async def _send(self, audio: bytes, room_seconds: float) -> None:
        self._writer.write(wire.head({"kind": wire.FILE, "seconds": room_seconds}, len(audio)))
        view = memoryview(audio)
        for at in range(0, len(audio), READ_AHEAD):  # piece by piece: the loop runs other tasks between them
            self._writer.write(view[at : at + READ_AHEAD])
            await self._writer.drain()

    async def _collect(self, max_bytes: int) -> tuple[bytearray, AudioInfo]:
        pcm = bytearray()
        while True:
            header, payload = await self._receive(max_bytes - len(pcm))
            if header["kind"] == wire.PCM:
                pcm += payload
            elif header["kind"] == wire.DONE:
                return pcm, _info(header, pcm)
            else:
                raise _needs_room(header) or _refusal(header)

    async def _receive(self, max_payload: int) -> tuple[wire.Header, bytes]:
        prefix = await self._reader.readexactly(wire.PREFIX_BYTES)
        header_bytes, payload_bytes = wire.lengths(prefix, max_payload)
        header = wire.parse(await self._reader.readexactly(header_bytes))
        return header, await self._reader.readexactly(payload_bytes)


async def _spawn(
    command: Sequence[str], directory: str
) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]:
    """Start the process with one end of a socket pair as its standard input; ours can be closed whatever it does."""
    ours, theirs = socket.socketpair()
    with theirs:  # closed here once the child has it: else its end would not end the stream
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={},
                cwd=directory,
                start_new_session=True,  # Ctrl-C in a terminal is for the parent, which drains first
            )
        except BaseException:
            ours.close()
            raise
    return (process, *await asyncio.open_connection(sock=ours, limit=READ_AHEAD))


def _needs_room(header: wire.Header) -> NeedsRoom | None:
    """How much sound the file seems to be, in seconds; None when the answer is another.

    Checked like every message of a child.
    """
    if header["kind"] != wire.LONGER:
        return None
    seconds = header.get("seconds")
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise wire.WireError("a length that is none")
    return NeedsRoom(float(seconds))


def _refusal(header: wire.Header) -> AudioRejected:
    """The child's report on the file, checked: a file may have taken the child over."""
    code, message, details = _REFUSALS.get(str(header.get("code"))), header.get("message"), header.get("details")
    if header["kind"] != wire.REJECTED or code is None or not isinstance(message, str) or not isinstance(details, dict):
        raise wire.WireError("an answer that is none")
    return AudioRejected(code, message, details)


def _info(header: wire.Header, pcm: bytearray) -> AudioInfo:
    """The child's result, checked; the duration is computed here."""
    if not pcm or len(pcm) % 2:
        raise wire.WireError("no whole number of samples")
    return AudioInfo.model_validate(header.get("info")).model_copy(update={"duration": len(pcm) / 2 / SAMPLE_RATE})
