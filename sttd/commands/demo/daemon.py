"""The demo's daemon: `python -m sttd.consumer` as a child process with settings of its own, ended whatever happens.

Never imports the daemon.
"""

import asyncio
import http.client
import os
import signal
import socket
import sys
from pathlib import Path
from typing import IO, Final, Self

from sttd.commands.demo.chosen import Chosen
from sttd.settings import ClientSettings

HOST: Final = "127.0.0.1"
DRAIN_SECONDS: Final = 5
STOP_SECONDS: Final = 25
"""How long SIGTERM may take before the daemon is killed: its drain, and the closing of its parts."""

POLL_SECONDS: Final = 0.1
HTTP_SECONDS: Final = 5.0


class DaemonEnded(Exception):
    """The daemon exited before it was asked to, or never became ready. The text is for a person."""


class DemoDaemon:
    """One daemon on a queue of its own. `async with` starts it, and never leaves it running."""

    def __init__(self, settings: ClientSettings, model: Chosen, queue: str, log: Path) -> None:
        """Choose a free port; start nothing. `log`: file for its output."""
        self.port = _free_port()
        self._settings = settings
        self._model = model
        self._queue = queue
        self._log = log
        self._output: IO[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def model(self) -> str:
        """The model's name, as STTD_MODEL has it."""
        return self._model.name

    @property
    def url(self) -> str:
        """Where its side port is."""
        return f"http://{HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        """Start it, in a session of its own: Ctrl-C is ours to translate into one SIGTERM."""
        self._output = await asyncio.to_thread(self._log.open, "wb")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sttd.consumer",
            env=self._environment(),
            cwd=self._log.parent,  # where there is no .env that could change the demo
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def ready(self, seconds: float) -> None:
        """Wait until `/readyz` answers 200. Raises `DaemonEnded` with the reason and the last lines of its log."""
        try:
            async with asyncio.timeout(seconds):
                while not await self._is_ready():  # noqa: ASYNC110 - the other process can only be asked
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise DaemonEnded(
                f"the daemon was not ready within {seconds:g} s; its log ends with\n{self.tail()}"
            ) from None

    async def stop(self) -> int:
        """SIGTERM, wait, kill what does not go. Returns the exit code; negative: the signal that ended it."""
        if self._process is None:
            return 0
        try:
            if self._process.returncode is None:
                self._process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()
        finally:
            if self._process.returncode is None:  # cancelled while waiting: a second Ctrl-C means now
                self._process.kill()
            if self._output is not None:
                self._output.close()

    async def get(self, path: str) -> tuple[int, str]:
        """GET a page of the side port: status and text. Raises `OSError`."""
        return await asyncio.to_thread(_get, self.port, path)

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    async def _is_ready(self) -> bool:
        if self._process is not None and self._process.returncode is not None:
            raise DaemonEnded(
                f"the daemon ended with exit code {self._process.returncode}; its log ends with\n{self.tail()}"
            )
        try:
            status, _ = await self.get("/readyz")
        except (OSError, http.client.HTTPException):  # not listening yet
            return False
        return status == http.client.OK

    def _environment(self) -> dict[str, str]:
        """Embedded defaults: of the caller's settings only the broker's address and the model."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("STTD_")}
        return inherited | {
            "STTD_AMQP_URL": self._settings.amqp_url.get_secret_value(),
            "STTD_REQUEST_QUEUE": self._queue,
            **self._model.environment(),
            "STTD_SIDE_HOST": HOST,
            "STTD_SIDE_PORT": str(self.port),
            "STTD_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "STTD_JOIN": "never",  # its notes repeat
            "STTD_LOG_FORMAT": "console",  # a person reads its last lines where the demo fails
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=HTTP_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
