"""The gateway as a subprocess, as an operator runs it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from tests.support.waiting import PATIENCE, wait_for


class GatewayProcess:
    """One `sttd gateway` on a free port with a JSON log in a file and an empty directory for temporary files."""

    def __init__(self, amqp_url: str, folder: Path, **settings: str) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self._log_path = folder / "gateway.log"
        wanted = {"amqp_url": amqp_url, "gateway_port": "0", "log_format": "json"} | settings
        self._env = {key: value for key, value in os.environ.items() if not key.startswith("STTD_")}
        self._env |= {f"STTD_{name.upper()}": value for name, value in wanted.items()} | {"TMPDIR": str(self.temporary)}
        self.url = ""

    def __enter__(self) -> Self:
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
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)

    @property
    def address(self) -> tuple[str, int]:
        parts = httpx.URL(self.url)
        return parts.host, parts.port or 80

    @property
    def log(self) -> str:
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
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def stop(self) -> int:
        """SIGTERM and wait; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)
