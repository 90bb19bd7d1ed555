"""Nothing outlives its owner: directories with a lock each, and a guard process that cleans up when the owner is gone.

The guard waits on a pipe whose other end only the owner holds, so it acts on a normal close, an exception and SIGKILL
alike.
"""

import fcntl
import os
import secrets
import subprocess
from pathlib import Path
from typing import IO

from tools.rabbitmq.errors import NodeError

# The environment variable that every process of a node carries; its value is the node's directory.
MARKER = "STTD_PRIVATE_NODE"
# $1 = MARKER=directory, $2 = the directory, $3 = "keep" if it stays. Reading ends when the owner does.
SCRIPT = r"""
read -r _
if [ -f "$2/container" ]; then docker rm --force --volumes "$(cat "$2/container")" >/dev/null; fi
for process in /proc/[0-9]*; do
    if grep -qszxF -- "$1" "$process/environ"; then kill -KILL "${process#/proc/}"; fi
done 2>/dev/null
if [ "$3" = keep ]; then exit; fi
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$2" 2>/dev/null && break
    sleep 0.2
done
"""


class Guard:
    """One shell in a session of its own; `close()` makes it clean up, and so does the end of this process."""

    def __init__(self, directory: Path, *, keep: bool = False) -> None:
        """Start guarding the directory, which stays if `keep`, and the processes that carry it in their marker."""
        self._shell = subprocess.Popen(  # noqa: S603 - our own script
            command(directory, keep=keep),
            stdin=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
        )

    def close(self) -> None:
        """End what is left of the node, remove its directory unless it is kept, and wait for that."""
        self._shell.communicate(b"\n")  # a line, because a forked process may still hold the pipe open


def command(directory: Path, *, keep: bool = False) -> list[str]:
    """The guard's command line."""
    words = [f"{MARKER}={directory}", str(directory), "keep" if keep else ""]
    return ["/bin/sh", "-c", SCRIPT, "sttd-rabbitmq-guard", *words]


class KeptClaim:
    """A directory that stays when its owner ends; locked as long as this process lives."""

    def __init__(self, directory: Path) -> None:
        """Make the directory (mode 0700), if need be, and lock it. Raises `NodeError` if another process has it."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self._lock = (directory / "lock").open("w")
        if not _try_lock(self._lock):
            self._lock.close()
            raise NodeError(f"{directory} is in use: another `make run` is at work; end it first")

    def close(self) -> None:
        """Let go of the lock."""
        self._lock.close()


class Claim:
    """A fresh directory below `base`, locked as long as this process lives.

    Those of dead owners are removed on the way.
    """

    def __init__(self, base: Path) -> None:
        """Make the directory (mode 0700) and lock it."""
        base.mkdir(parents=True, exist_ok=True)
        with (base / ".lock").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)  # else a sweep could find a directory made but not yet locked
            _sweep(base)
            self.directory = base / f"{os.getpid()}-{secrets.token_hex(3)}"
            self.directory.mkdir(mode=0o700)
            self._lock = (self.directory / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Let go of the lock; the guard removes the directory."""
        self._lock.close()


def _sweep(base: Path) -> None:
    for directory in base.iterdir():
        if not directory.is_dir():
            continue
        try:
            with (directory / "lock").open("w") as lock:
                abandoned = _try_lock(lock)
        except FileNotFoundError:  # its guard is removing it at this moment
            continue
        if abandoned:
            subprocess.run(command(directory), stdin=subprocess.DEVNULL, check=False)  # noqa: S603 - our own script


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
