"""`sttd bench FILES...`: the user's own audio and model, stock faster-whisper against the daemon's engine.

No RabbitMQ, no network. Each side runs in a process of its own (bench_side.py), by turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final, Self

import typer
from rich.console import Console

from sttd.commands.bench import report
from sttd.commands.bench.report import SideResult
from sttd.commands.exit_codes import Exit
from sttd.commands.extras import need_consumer
from sttd.commands.terminal import leave, notes_bar, say

if TYPE_CHECKING:
    from sttd.consumer.settings import Settings

LAST_LINES: Final = 3
STOP_SECONDS: Final = 10


class SideFailed(Exception):
    """A side ended before it had answered; the text is the end of its stderr."""


def bench(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="Audio files of yours."),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="A size, a Hub id, a directory or `demo`; must be on this machine. (default: STTD_MODEL)"),
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", "-l", help="Spoken language, or `auto`. (default: STTD_LANGUAGE)")
    ] = None,
    beam: Annotated[
        int | None, typer.Option(min=1, max=10, help="Beam width of both. (default: STTD_BEAM_SIZE)")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, max=100, help="How often each side transcribes all files; the median counts.")
    ] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Figures, texts and differences as JSON on stdout.")] = False,
) -> None:
    """Compare sttd with stock faster-whisper on your own files and model: speed, memory, and the texts.

    Stock takes file by file with its own number of threads; sttd takes all at once with the settings of your daemon.
    Each side is a process of its own, the rounds alternate, and both decode before the clock starts.
    """
    need_consumer()
    asked = _asked(files, model, language, beam)
    try:
        stock, ours = _compare(asked, rounds, len(set(files)))
    except SideFailed as error:
        raise leave(Exit.FAILED, str(error)) from None
    except KeyboardInterrupt:
        raise leave(Exit.INTERRUPTED, "interrupted") from None
    _show(stock, ours, as_json=as_json)
    for file, reason in stock.unreadable.items():
        say(f"{file}: {reason}")
    if stock.unreadable:
        raise typer.Exit(Exit.FAILED)


def _asked(files: list[Path], model: str | None, language: str | None, beam: int | None) -> dict[str, Any]:
    """What both sides are given; ends the command where a setting or the model is not right."""
    from sttd.consumer.engine.files import store  # noqa: PLC0415 - the base install has no daemon
    from sttd.consumer.errors import ModelUnavailable  # noqa: PLC0415 - the same

    settings = _settings()
    name = model or settings.model
    try:
        path = store.resolve(name, settings.model_cache)
    except ModelUnavailable as error:
        raise leave(Exit.USAGE, error.message) from None
    if path is None:
        raise leave(Exit.USAGE, f"model {name} is not on this machine: `sttd model fetch {name}` downloads it")
    return {
        "files": list(dict.fromkeys(str(file) for file in files)),
        "path": str(path.resolve()),
        "language": _known(language or settings.language),
        "beam": beam or settings.beam_size,
        "condition": settings.condition_on_previous_text,
    }


def _settings() -> Settings:
    from sttd.consumer import settings  # noqa: PLC0415 - the base install has no daemon
    from sttd.consumer.errors import SettingsError  # noqa: PLC0415 - the same

    try:
        return settings.load()
    except SettingsError as error:
        raise leave(Exit.USAGE, error.message) from None


def _known(language: str) -> str:
    from sttd.schemas import languages  # noqa: PLC0415 - beside the others

    try:
        return languages.code_or_auto(language)
    except ValueError:
        raise leave(
            Exit.USAGE, f"{language!r} is neither a Whisper language code (ru, en, de ...) nor `auto`"
        ) from None


def _compare(asked: dict[str, Any], rounds: int, count: int) -> tuple[SideResult, SideResult]:
    """Both sides loaded, then by turns.

    Ours reports first which device and type its settings lead to; stock is given the same.
    """
    with ExitStack() as stack, notes_bar() as bar:
        shown = bar.add_task("loading", total=2 * rounds * count)
        ours = stack.enter_context(SideProcess("ours", asked))
        same = {"device": ours.heard.device, "compute_type": ours.heard.compute_type}
        stock = stack.enter_context(SideProcess("stock", asked | same))
        if not stock.heard.seconds:
            raise SideFailed("none of the files can be decoded: " + "; ".join(stock.heard.unreadable.values()))
        for number in range(rounds):
            for side in (stock, ours):
                bar.update(shown, description=f"round {number + 1} of {rounds}, {side.heard.side}")
                side.round(lambda: bar.advance(shown))
    return stock.heard, ours.heard


def _show(stock: SideResult, ours: SideResult, *, as_json: bool) -> None:
    found = report.differences(stock.texts, ours.texts)
    if as_json:
        typer.echo(json.dumps(report.as_json(stock, ours, found), ensure_ascii=False, indent=1))
        return
    console = Console(highlight=False)
    console.print(report.table(stock, ours))
    for heard in (stock, ours):
        console.print(f"{heard.side}: {heard.engine} on {heard.device}, {heard.compute_type}", markup=False)
    for line in report.verdict(stock, found):
        console.print(line, markup=False, soft_wrap=True)


class SideProcess:
    """One side as a child: `with` starts it, waits until it has loaded and decoded, and ends it."""

    def __init__(self, side: str, asked: dict[str, Any]) -> None:
        """Start nothing yet."""
        self.heard = SideResult(side)
        self._asked = asked | {"side": side}

    def __enter__(self) -> Self:
        """Start and load. Raises `SideFailed`."""
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
            heard.peak_mib = said["peak_mib"]

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        return f"the side {self.heard.side} ended with {self._process.returncode}: " + " / ".join(lines)
