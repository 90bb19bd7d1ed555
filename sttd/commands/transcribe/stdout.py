"""Stdout as the place where results go: what is wrong with it is found before the work, and loses no finished result.

Knows nothing of audio, client or formats.
"""

import errno
import os
import select
import sys
from contextlib import suppress
from typing import Final

from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import leave, say, silence

_EVERY_SCRIPT: Final = "é Ж 漢 😀"


def holds_every_text() -> bool:
    """Whether its encoding, with the user's own way of dealing with errors, can write whatever was said."""
    try:
        _EVERY_SCRIPT.encode(sys.stdout.encoding or "utf-8", sys.stdout.errors or "strict")
    except UnicodeEncodeError:
        return False
    return True


def trouble(*, any_encoding: bool) -> str | None:
    """Why nothing could be printed, in one sentence; None if all looks well.

    `any_encoding`: results are ASCII if need be.
    """
    if sys.stdout is None or sys.stdout.closed:
        return "stdout is closed: results have no place to go; take --output DIR"
    if not (any_encoding or holds_every_text()):
        return (
            f"stdout's encoding {sys.stdout.encoding} cannot hold every text: set PYTHONIOENCODING=utf-8, "
            "or take --format json or --output DIR"
        )
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # no file behind it
        return None
    try:
        os.write(number, b"")  # /dev/full and a descriptor for reading refuse even nothing
    except OSError as error:
        return f"stdout cannot be written: {error.strerror}; take --output DIR"
    watched = select.poll()
    watched.register(number, 0)
    if any(state & select.POLLERR for _, state in watched.poll(0)):
        return "nobody reads stdout: the program behind the pipe has ended"
    return None


class Stdout:
    """Prints results, one by one. Where that fails, the rest of the work ends, and what is finished goes to stderr."""

    def __init__(self) -> None:
        """Make it wait for a slow reader: of a pipe from Node, which does not wait, a long text would be lost."""
        self._failed: OSError | None = None
        with suppress(AttributeError, OSError, ValueError):  # closed, or no file behind it
            os.set_blocking(sys.stdout.fileno(), True)

    def print(self, text: str) -> None:
        """Print one result.

        Raises `typer.Exit` the first time that it fails; afterwards results go to stderr, if anybody reads.
        """
        if sys.stdout is None or sys.stdout.closed:  # --output needs none, until a file cannot be written
            say(text)
            return
        if self._failed is not None:
            if self._failed.errno != errno.EPIPE:
                say(text)
            return
        try:
            print(text, flush=True)  # noqa: T201 - stdout is where results go
        except OSError as error:
            self._failed = error
            silence(sys.stdout)
            if error.errno == errno.EPIPE:
                raise leave(Exit.FAILED, "nobody reads stdout any more: what was not printed was cancelled") from None
            told = f"stdout cannot be written: {error.strerror}; what is finished follows here, the rest was cancelled"
            raise leave(Exit.FAILED, told) from None
