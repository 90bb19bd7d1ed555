"""The sides of `sttd bench` as children of the command: started, asked round after round, ended."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import IO, Any, Final, Self

from sttd.commands.bench.report import SideResult

LAST_LINES: Final = 3
STOP_SECONDS: Final = 10


class SideFailed(Exception):
    """A side ended before it had answered; the text is the end of its stderr."""


class SideProcess:
    """One side as a child: `with` starts it, waits until it has loaded and decoded, and ends it."""

    def __init__(self, side: str, asked: dict[str, Any]) -> None:
        self.heard = SideResult(side)
        self._asked = asked | {"side": side}

    def __enter__(self) -> Self:
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sttd.commands.bench.side"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            self._say(json.dumps(self._asked))
            self._until("seconds", lambda: None)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close its stdin, at which it ends; kill it if it does not."""
        try:
            self._process.communicate(timeout=STOP_SECONDS)
        except (subprocess.TimeoutExpired, BrokenPipeError, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def round(self, advance: Callable[[], Any]) -> None:
        """All files once; `advance` after each. Raises `SideFailed`."""
        self._say("again")
        self._until("round", advance)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None  # a pipe was asked for
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SideFailed(self._last_words()) from None

    def _until(self, last: str, advance: Callable[[], Any]) -> None:
        assert self._process.stdout is not None  # a pipe was asked for
        for line in self._process.stdout:
            said = json.loads(line)
            self._take(said)
            if "file" in said:
                advance()
            if last in said:
                return
        raise SideFailed(self._last_words())

    def _take(self, said: dict[str, Any]) -> None:
        heard = self.heard
        if "loaded" in said:
            heard.load_seconds, heard.engine = said["loaded"], said["engine"]
            heard.device, heard.compute_type = said["device"], said["compute_type"]
        elif "unreadable" in said:
            heard.unreadable[said["unreadable"]] = said["reason"]
        elif "seconds" in said:
            heard.seconds = said["seconds"]
        elif "file" in said:
            heard.texts[said["file"]] = said["text"]
        else:
            heard.wall.append(said["round"])
            heard.core.append(said["core"])
            heard.peak_mib, heard.again = said["peak_mib"], said["again"]

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        return f"the side {self.heard.side} ended with {self._process.returncode}: " + " / ".join(lines)
