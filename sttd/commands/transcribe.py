"""`sttd transcribe`: files in, texts out, in argument order. Uses sttd.Client as any bot would; never imports the daemon."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from schemas.options import TranscriptionOptions
from schemas.reply import Transcript
from sttd import errors
from sttd.client import Client
from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import leave, notes_bar, say

IN_FLIGHT: Final = 32
"""Files at the broker at once: enough to keep any daemon busy, few enough that their bytes fit in memory."""

STDIN: Final = Path("-")


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: a transcript, or an error with its code."""

    file: str
    transcript: Transcript | None = None
    code: str = ""
    message: str = ""
    retryable: bool = False
    broker: bool = False

    def as_text(self, *, named: bool) -> str | None:
        """The line for stdout; failures have none. Named like grep does when there are several files."""
        if self.transcript is None:
            return None
        return f"{self.file}: {self.transcript.text}" if named else self.transcript.text

    def as_json(self) -> str:
        """One line of JSON: the reply as it came, and the file's name."""
        failure = {"status": "failed", "error": {"code": self.code, "message": self.message, "retryable": self.retryable}}
        said = self.transcript.model_dump(mode="json") if self.transcript else failure
        return json.dumps({"file": self.file, **said}, ensure_ascii=False)


def _readable(files: list[Path]) -> list[Path]:
    """Typing mistakes end the command before anything is sent; typer's own check does not know `-`."""
    for file in files:
        if file != STDIN and not file.is_file():
            raise typer.BadParameter(f"{file} is not a file")
        if file != STDIN and not os.access(file, os.R_OK):
            raise typer.BadParameter(f"{file} may not be read by this user")
    if files.count(STDIN) > 1:
        raise typer.BadParameter("stdin can be read only once")
    return files


def _known_language(value: str | None) -> str | None:
    try:
        return TranscriptionOptions(language=value).language
    except ValidationError:
        raise typer.BadParameter(f"{value!r} is neither a Whisper language code (ru, en, de ...) nor `auto`") from None


def transcribe(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", callback=_readable, help="Audio files; `-` reads one from stdin."),
    ],
    language: Annotated[
        str | None,
        typer.Option("--language", "-l", callback=_known_language, help="Spoken language, or `auto`. (default: the daemon's setting)"),
    ] = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format", "-f", help="`text`: one line per file, with its name if there are several. `json`: the reply, one line per file."
        ),
    ] = Format.TEXT,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, max=86_400, help="Seconds that one file may take. (default: STTD_TIMEOUT, or 300)")
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option(
            help="Request queue; `stt.requests.bulk` lets interactive notes go first. (default: STTD_REQUEST_QUEUE, or stt.requests)"
        ),
    ] = None,
) -> None:
    """Send audio files to the daemon and print what was said, in the order of the arguments.

    Results go to stdout as soon as they are known; progress and one line per failure go to stderr.
    """
    options: dict[str, Any] = {"language": language} if language else {}
    show = _printer(form, named=len(files) > 1)
    try:
        raise typer.Exit(asyncio.run(_run(files, options, timeout, queue, show)))
    except KeyboardInterrupt:
        raise leave(Exit.INTERRUPTED, "interrupted: what was sent and not answered may still be worked on until its timeout") from None


def _printer(form: Format, *, named: bool) -> Callable[[Outcome], None]:
    def show(outcome: Outcome) -> None:
        line = outcome.as_json() if form is Format.JSON else outcome.as_text(named=named)
        if line is not None:
            print(line, flush=True)  # noqa: T201 - stdout is where results go

    return show


async def _run(
    files: Sequence[Path],
    options: dict[str, Any],
    timeout: float | None,  # noqa: ASYNC109 - of each file, kept by the client
    queue: str | None,
    show: Callable[[Outcome], None],
) -> Exit:
    try:
        async with Client(queue=queue, timeout=timeout, name="sttd transcribe") as client:
            return await _all(client, files, options, show)
    except errors.SettingsInvalid as error:
        raise leave(Exit.USAGE, str(error)) from None
    except errors.BrokerUnavailable as error:
        raise leave(Exit.BROKER, str(error)) from None


async def _all(client: Client, files: Sequence[Path], options: dict[str, Any], show: Callable[[Outcome], None]) -> Exit:
    failed: list[Outcome] = []
    with notes_bar() as bar:
        shown = bar.add_task("transcribing", total=len(files))
        async with _begun(client, files, options, lambda: bar.advance(shown)) as tasks:
            for task in tasks:
                outcome = await task
                if outcome.broker:  # the others would fail in the same way
                    raise leave(Exit.BROKER, outcome.message)
                show(outcome)
                failed += [outcome] if outcome.transcript is None else []
    for outcome in failed:
        say(f"{outcome.file}: {outcome.code}: {outcome.message}")
    if failed:
        say(f"{len(failed)} of {len(files)} failed")
    return Exit.FAILED if failed else Exit.OK


@asynccontextmanager
async def _begun(
    client: Client, files: Sequence[Path], options: dict[str, Any], done: Callable[[], Any]
) -> AsyncIterator[list[asyncio.Task[Outcome]]]:
    """All files as tasks, a bounded number of them in flight; none is left running."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(file: Path) -> Outcome:
        async with gate:
            outcome = await _outcome(client, file, options)
        done()
        return outcome

    tasks = [asyncio.create_task(one(file), name=f"transcribe {file}") for file in files]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _outcome(client: Client, file: Path, options: dict[str, Any]) -> Outcome:
    name = "stdin" if file == STDIN else str(file)
    try:
        return Outcome(name, await client.transcribe(sys.stdin.buffer if file == STDIN else file, **options))
    except errors.TranscriptionFailed as error:
        return Outcome(name, code=error.code, message=error.message, retryable=error.retryable)
    except errors.SttdClientError as error:
        broker = isinstance(error, errors.BrokerUnavailable | errors.NotServed)
        return Outcome(name, code=error.code, message=str(error), retryable=True, broker=broker)
    except OSError as error:
        return Outcome(name, code="file_unreadable", message=error.strerror or str(error))
