"""Programs of the system: run one and read it, wait for what it makes true, end it."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from tools.compose_check.errors import NotSo

LAST_WORDS: Final = 2000
POLL: Final = 0.2
END_SECONDS: Final = 60.0


def output(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    *,
    check: bool = True,
    cwd: Path | None = None,
) -> str:
    """Run a program and return what it printed; raises `NotSo` with the end of its output when it fails, if `check`."""
    done = subprocess.run(  # noqa: S603 - fixed programs
        command,
        env=environment,
        cwd=cwd,
        stdin=stdin or subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise NotSo(
            f"`{' '.join(command)}` failed ({done.returncode}): {(done.stderr or done.stdout)[-LAST_WORDS:].strip()}"
        )
    return done.stdout


def wait(so: Callable[[], bool], what: str, seconds: float, words: Callable[[], str] = str) -> None:
    """Wait until it is so; raises `NotSo` with `words` after the deadline."""
    deadline = time.monotonic() + seconds
    while not so():
        if time.monotonic() > deadline:
            raise NotSo(f"no {what} within {seconds:.0f} s {words()}".strip())
        time.sleep(POLL)  # another process's doing: there is nothing to wait on


def end(process: subprocess.Popen[bytes], ask: Callable[[], None]) -> None:
    """Ask it to stop, and end it by force when it does not."""
    if process.poll() is None:
        ask()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
