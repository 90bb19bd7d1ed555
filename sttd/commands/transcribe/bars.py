"""The progress of `sttd transcribe` on a terminal: one bar for all files, and one for each that reports how far it is.

Decides nothing; on anything but a terminal it draws nothing and `wanted` is false.
"""

import time
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from sttd.commands.terminal import stderr, stdout_is_terminal

WIDEST_NAME: Final = 40


class Bars:
    """Counts files, the audio in them and the time they took. Results printed meanwhile appear above the bars."""

    def __init__(self, files: int, console: Console | None = None) -> None:
        """`files`: how many there are in all; `console`: stderr unless given."""
        console = console or stderr()
        self.wanted = console.is_terminal
        """Whether anybody sees it: only then daemons are asked for progress."""
        columns = (
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(max_width=WIDEST_NAME, no_wrap=True, overflow="ellipsis"),
            ),
            BarColumn(),
            TextColumn("{task.fields[told]}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        # rich would send a redirected stdout to the console as well, and results would miss their file
        self._bars = Progress(
            *columns, console=console, disable=not self.wanted, transient=True, redirect_stdout=stdout_is_terminal()
        )
        self._files = files
        self._begun = time.monotonic()
        self._finished = 0
        self._audio = 0.0
        self._all = self._bars.add_task("transcribing", total=float(files), told=f"0/{files}")
        self._each: dict[str, TaskID] = {}
        self._fractions: dict[str, float] = {}

    def report(self, file: str, fraction: float) -> None:
        """One file is so far; its bar appears with its first report."""
        if file not in self._each:
            self._each[file] = self._bars.add_task(file, total=1.0, told="")
        self._fractions[file] = fraction
        self._bars.update(self._each[file], completed=fraction, told=f"{fraction:.0%}")
        self._show()

    def done(self, file: str, seconds: float) -> None:
        """One file is finished, with so many seconds of audio; a failed one has none."""
        self._finished += 1
        self._audio += seconds
        self._fractions.pop(file, None)
        bar = self._each.pop(file, None)
        if bar is not None:
            self._bars.remove_task(bar)
        self._show()

    def _show(self) -> None:
        completed = self._finished + sum(self._fractions.values())
        self._bars.update(self._all, completed=completed, told=f"{self._finished}/{self._files}{self._rate()}")

    def _rate(self) -> str:
        """Files and audio per second of waiting, once there is something to count."""
        elapsed = time.monotonic() - self._begun
        if not self._finished or elapsed <= 0:
            return ""
        return f"  {self._finished / elapsed:.2g} files/s  {self._audio / elapsed:.2g}x real time"

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
