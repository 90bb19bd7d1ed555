"""The files of the command line: which can be read, how often, and what they are called in results."""

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

import typer

from sttd.commands.terminal import harmless

STDIN: Final = Path("-")
_ALSO_STDIN: Final = frozenset({"/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})


def named(text: str) -> Path:
    """A file's path; `./-` is a file of that name and not stdin, though the two are one path."""
    file = Path(text)
    return file.absolute() if file == STDIN and text != str(STDIN) else file


def stdin() -> BinaryIO:
    """Without its buffer, whose lock aborts an interpreter that ends (Ctrl-C) while a thread still reads."""
    unbuffered: BinaryIO = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)  # a test's stdin has none
    return unbuffered


def shown(file: Path) -> str:
    """A file's name as text for JSON, terminals and logs: bytes that are no UTF-8 become hexadecimal escapes."""
    return "stdin" if file == STDIN else os.fsencode(file).decode(errors="backslashreplace")


def readable(files: list[Path]) -> list[Path]:
    """Raise `typer.BadParameter` for what cannot be read: typing mistakes end the command before anything is sent."""
    files = [STDIN if str(file) in _ALSO_STDIN else file for file in files]
    streams = [key for file in files if (key := _stream(file)) is not None]
    if len(set(streams)) < len(streams):
        raise typer.BadParameter("stdin, or another pipe, can be read only once")
    return files


def _stream(file: Path) -> tuple[int, int] | None:
    """Checks one file. What can be read only once has an identity: stdin, and pipes as of `<(...)`."""
    if file == STDIN:
        if sys.stdin is None:
            raise typer.BadParameter("stdin is closed")
        return (-1, -1)
    try:
        found = file.stat()
    except (OSError, ValueError):
        raise typer.BadParameter(f"there is no file {harmless(shown(file))}") from None
    if stat.S_ISDIR(found.st_mode):
        raise typer.BadParameter(f"{harmless(shown(file))} is a folder: name the files in it")
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISFIFO(found.st_mode)):
        raise typer.BadParameter(f"{harmless(shown(file))} is a device or a socket: name a file or a pipe")
    if not os.access(file, os.R_OK):
        raise typer.BadParameter(f"{harmless(shown(file))} may not be read by this user")
    return (found.st_dev, found.st_ino) if stat.S_ISFIFO(found.st_mode) else None


def distinct(files: Sequence[Path]) -> list[Path]:
    """Each file once, however often and in whatever spelling it was given: it has one result."""
    found: dict[Path, Path] = {}
    for file in files:
        found.setdefault(whole(file), file)
    return list(found.values())


def whole(file: Path) -> Path:
    """The path from the root, without `..`; links stay, since their names may be all that the user knows."""
    return Path(os.path.normpath(file.absolute()))
