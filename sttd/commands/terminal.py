"""What commands show to people: one-line errors and progress on stderr, so that stdout holds results and nothing else.

Never decides an exit code.
"""

import os
import sys
from typing import TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from sttd.commands.exit_codes import Exit


def stderr() -> Console:
    """A console on stderr; plain text when stderr is not a terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line to stderr, as it is: no markup, so that a file name with brackets survives.

    A stderr that cannot be written (its disk is full) costs neither the work nor the exit code.
    """
    try:
        stderr().print(text, markup=False)
    except OSError:
        silence(sys.stderr)


def tell(text: str) -> None:
    """One line to stdout. Once it is not read any more (`| head`) the rest is dropped; the exit code stays.

    Raises `typer.Exit` for a stdout that cannot be written.
    """
    try:
        typer.echo(text)
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        raise leave(Exit.FAILED, f"stdout cannot be written: {error.strerror}") from None
    except UnicodeEncodeError:
        raise leave(
            Exit.FAILED, f"stdout's encoding {sys.stdout.encoding} cannot hold this: set PYTHONIOENCODING=utf-8"
        ) from None


def harmless(text: str) -> str:
    """Text as part of one line: line ends and what would move the cursor are escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def stdout_is_terminal() -> bool:
    """Whether results appear on a terminal; where stdout is closed there is none."""
    return sys.stdout is not None and sys.stdout.isatty()


def silence(stream: TextIO) -> None:
    """What the stream still holds is dropped: written at the end of the process, it would fail a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def leave(code: Exit, text: str) -> typer.Exit:
    """Write the reason to stderr; what is returned ends the command when it is raised."""
    say(text)
    return typer.Exit(code)


def notes_bar() -> Progress:
    """Progress over notes, shown only on a terminal. Results printed meanwhile appear above it."""
    console = stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # rich would send a redirected stdout to the console as well, and results would miss their file
    return Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True, redirect_stdout=stdout_is_terminal()
    )


def bytes_bar() -> Progress:
    """Progress of a download, shown only on a terminal."""
    console = stderr()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal, redirect_stdout=False)
