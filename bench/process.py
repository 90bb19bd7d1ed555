"""A peer's process: started, watched through /proc, ended. Core time and memory of a whole tree of processes.

Standard library only. Ends only what it has started, and waits for it.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

HOST: Final = "127.0.0.1"
MIB: Final = 2**20
TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
SAMPLE_SECONDS: Final = 0.2
READY_SECONDS: Final = 300.0
POLL_SECONDS: Final = 0.02
STOP_SECONDS: Final = 20.0


class PeerFailed(Exception):
    """A peer cannot be run or does not answer; the text is the reason, for the table."""


def tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it, as far as they still are."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield from tree(int(child))


def core_seconds(pid: int) -> float:
    """Processor time of the tree so far, with that of children which have ended."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            fields = (
                Path(f"/proc/{member}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            )
            total += sum(
                map(int, fields[11:15])
            )  # its own in user and kernel mode, and of children that were waited for
    return total / TICKS


def resident_mib(pid: int) -> float:
    """Resident memory of the tree. Pages that two processes share count twice."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{member}/statm").read_text(encoding="ascii").split()[1]) * PAGE
    return total / MIB


def peaks_mib(pid: int) -> list[float]:
    """The most that each process of the tree has ever had resident; the root's first."""
    found = []
    for member in tree(pid):
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{member}/status").read_text(encoding="utf-8", errors="replace").splitlines()
            found.append(int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024)
    return found


@dataclass
class Watch:
    """Core time and memory of a tree between two moments: `async with Watch(pid) as used: ...`."""

    pid: int
    core_seconds: float = 0.0
    peak_mib: float = 0.0
    _sampling: asyncio.Task[None] | None = field(default=None, repr=False)

    async def __aenter__(self) -> Self:
        """Begin to look, five times a second."""
        self.core_seconds = -core_seconds(self.pid)
        self._sampling = asyncio.create_task(self._sample(), name="memory-sampling")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Read both once more."""
        self.core_seconds += core_seconds(self.pid)
        self._look()
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.wait({self._sampling})

    async def _sample(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(SAMPLE_SECONDS)

    def _look(self) -> None:
        self.peak_mib = max(self.peak_mib, resident_mib(self.pid))


async def answers(port: int, path: str) -> bool:
    """Whether something listens on a port of this host and answers 200 for the path."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return b" 200 " in await reader.readline()
    finally:
        writer.close()


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with these STTD_ settings and no others; names without prefix, lower case."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STTD_")}
    return inherited | {f"STTD_{name.upper()}": value for name, value in settings.items()}


class Process:
    """One process with its output in a file, in a session of its own: Ctrl-C is the harness's to translate."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        """Start it. The working directory is the log's, where there is no `.env`."""
        self._log = log
        with log.open("wb") as sink:
            self._popen = subprocess.Popen(  # noqa: S603 - the harness's own commands
                command,
                env=environment,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    async def __aenter__(self) -> Self:
        """It runs already."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        await self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def log(self) -> str:
        """All that it has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    async def until(self, ready: Callable[[], Awaitable[bool]]) -> None:
        """Look again and again until it is ready. Raises `PeerFailed` when it ends or takes too long."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await ready():
                    self.check()
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise PeerFailed(f"not ready within {READY_SECONDS:g} s") from None

    def check(self) -> None:
        """Raise `PeerFailed` with the end of its log once it has ended."""
        if self._popen.poll() is not None:
            raise PeerFailed(f"ended with {self._popen.returncode}: {self._last_words()}")

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.log.splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it wrote nothing"

    async def stop(self) -> None:
        """SIGTERM, wait, and SIGKILL for what does not go."""
        if self._popen.poll() is not None:
            return
        self._popen.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._popen.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            await asyncio.to_thread(self._popen.wait)
