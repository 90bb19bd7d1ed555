"""The daemon as a subprocess, as an operator runs it: started, asked over HTTP, signalled, its log read."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import second_engine
from tests.support.waiting import PATIENCE, wait_for

HTTP_SECONDS = 60.0
FAILPOINTS = Path(__file__).with_name("failpoints.py")
SICK = Path(__file__).with_name("sick_engine.py")


class DaemonProcess:
    """One `python -m sttd.consumer` with the demo model and a JSON log in a file."""

    def __init__(
        self,
        amqp_url: str,
        log: Path,
        failpoint: str | None = None,
        sick: str | None = None,
        held: str | None = None,
        **settings: str,
    ) -> None:
        """`settings`: without prefix, lower case: `slots="2"` is STTD_SLOTS=2.

        `failpoint`: see failpoints.py. The engine fails as long as the file `sick` exists, and waits as long as `held`
        does.
        """
        self._log_path = log
        self._program = ["-m", "sttd.consumer"] if failpoint is None else ["-P", str(FAILPOINTS), failpoint]
        if sick or held:
            nowhere = log.with_name("no such file")
            self._program = ["-P", str(SICK), str(sick or nowhere), str(held or nowhere)]
        self._env = {key: value for key, value in os.environ.items() if not key.startswith("STTD_")}
        wanted = {
            "amqp_url": amqp_url,
            "model": "demo",
            "side_port": "0",
            "log_format": "json",
            "join": "never",  # tests send few notes again and again, and count what is computed
            "drain_seconds": "20",
        }
        wanted |= settings
        if wanted["model"] == "demo" and "engine" not in settings:
            wanted |= second_engine.settings()
        self._env |= {f"STTD_{name.upper()}": value for name, value in wanted.items() if not name.isupper()}
        self._env |= {name: value for name, value in settings.items() if name.isupper()}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "DaemonProcess":
        """Start without waiting for anything. The working directory is empty, so that no `.env` is read."""
        with self._log_path.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, *self._program], env=self._env, stdout=sink, stderr=sink, cwd=self._log_path.parent
            )
        return self

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """The process; a test that uses it has started it."""
        assert self.process is not None
        return self.process

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    def lines(self, action: str) -> list[dict[str, Any]]:
        """The log lines of one `action`, oldest first."""
        parsed = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in parsed if line.get("action") == action]

    def url(self, path: str) -> str:
        """Address of a page of the side port."""
        found = self._wait(lambda: self.lines("side_port"), "side port")
        return f"{found[-1]['url']}{path}"

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the side port."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=HTTP_SECONDS) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def ready(self) -> bool:
        """Whether `/readyz` is 200."""
        return self.get("/readyz")[0] == 200

    def wait_ready(self) -> "DaemonProcess":
        self._wait(self.ready, "readiness")
        return self

    def wait_not_ready(self) -> None:
        """Wait until it is not ready any more."""
        self._wait(lambda: not self.ready(), "loss of readiness")

    def wait_log(self, action: str) -> dict[str, Any]:
        """Wait for a log line of this `action`; return the newest."""
        found: list[dict[str, Any]] = self._wait(lambda: self.lines(action), f"log action {action}")
        return found[-1]

    def metric(self, name: str, /, **labels: str) -> float:
        """One sample of `/metrics`; fails if there is none."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith((f"{name} ", f"{name}{{")) and all(
                f'{key}="{value}"' in line for key, value in labels.items()
            ):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no sample {name} {labels}")

    def counted(self, name: str, /, **labels: str) -> float:
        """One sample of `/metrics` once no request is in flight: a request is counted at its end, after its reply."""
        self._wait(lambda: self.metric("sttd_requests_in_flight") == 0, "end of the last request")
        return self.metric(name, **labels)

    def stop(self) -> int:
        """SIGTERM and wait; return the exit code."""
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL and wait."""
        self.running.kill()
        self.running.wait(PATIENCE)

    def wait_exit(self) -> int:
        """Wait for it to end by itself; return the exit code."""
        return self.running.wait(PATIENCE)

    def close(self) -> None:
        """End it whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def _wait(self, look: Any, what: str) -> Any:
        def found() -> Any:
            ended = self.running.poll()
            if not (seen := look()):
                assert ended is None, f"the daemon exited with {ended} before {what}:\n{self.log[-3000:]}"
            return seen

        return wait_for(found, what, words=lambda: f":\n{self.log[-3000:]}")


def children(pid: int) -> Iterator[int]:
    """Process ids of the direct children of `pid`."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())
