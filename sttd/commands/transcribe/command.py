"""`sttd transcribe`: files in, texts out, in argument order.

Uses sttd.Client as any bot would; never imports the daemon.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import typer

from sttd import errors
from sttd.client import Client
from sttd.commands.demo.report import BUNDLED
from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import harmless, leave, say
from sttd.commands.transcribe import asked, inputs, stdout
from sttd.commands.transcribe.bars import Bars
from sttd.commands.transcribe.inputs import STDIN
from sttd.commands.transcribe.output import DOCUMENTS, FileOutcome, Format, targets, write
from sttd.commands.transcribe.stdout import Stdout
from sttd.schemas.reply import Progress

IN_FLIGHT: Final = 32
"""Files at the broker at once: enough to keep any daemon busy, few enough that their bytes fit in memory."""

Asking: TypeAlias = Callable[[Path], Awaitable[FileOutcome]]


@dataclass(frozen=True, slots=True)
class _Order:
    """What the command line asked for."""

    files: Sequence[Path]
    form: Format
    output: Path | None
    options: dict[str, Any]
    stdout: Stdout

    def show(self, outcome: FileOutcome) -> None:
        """One result to stdout, unless it is in a file."""
        if self.output and not (outcome.code and outcome.transcript):
            return
        shown = outcome.shown(self.form, named=len(self.files) > 1, ascii_only=not stdout.holds_every_text())
        if shown is not None:
            self.stdout.print(shown)


def transcribe(
    files: asked.Files,
    language: asked.Language = None,
    form: asked.Form = Format.TEXT,
    words: asked.Words = False,
    numerals: asked.Numerals = None,
    doubtful: asked.DoubtfulText = None,
    caller: asked.Caller = None,
    output: asked.Output = None,
    timeout: asked.Timeout = None,
    queue: asked.Queue = None,
) -> None:
    """Send audio files to the daemon and print their texts, in the order of the arguments.

    Results go to stdout as soon as they are known, or into files with --output; progress and one line per failure go to
    stderr. Ctrl-C prints what is finished and cancels the rest, at the daemon too.
    """
    _check_place(files, form, output)
    options: dict[str, Any] = {"language": language, "word_timestamps": words or None}
    options |= {"numerals": numerals, "doubtful": doubtful, "caller": caller}
    order = _Order(inputs.distinct(files) if output else files, form, output, options, Stdout())
    try:
        raise typer.Exit(asyncio.run(_run(order, timeout, queue)))
    except KeyboardInterrupt:
        raise leave(Exit.INTERRUPTED, "interrupted: what was not finished was cancelled") from None


def _check_place(files: Sequence[Path], form: Format, output: Path | None) -> None:
    """Find what is wrong with the place of the results before anything is sent."""
    if form in DOCUMENTS and len(files) > 1 and output is None:
        raise typer.BadParameter(
            f"{form} is one document per file: add --output DIR for several files", param_hint="--format"
        )
    if output is None and (trouble := stdout.trouble(any_encoding=form is Format.JSON)):
        raise leave(Exit.USAGE, trouble)


async def _run(order: _Order, timeout: float | None, queue: str | None) -> Exit:  # noqa: ASYNC109 - of each file
    try:
        async with Client(queue=queue, timeout=timeout, name="sttd transcribe") as client:
            return await _all(client, order)
    except errors.SettingsInvalid as error:
        raise leave(Exit.USAGE, str(error)) from None
    except errors.BrokerUnavailable as error:
        raise leave(Exit.BROKER, str(error)) from None


async def _all(client: Client, order: _Order) -> Exit:
    outcomes: list[FileOutcome] = []
    with Bars(len(order.files)) as bars:
        async with _begun(order.files, _asking(client, order, bars)) as tasks:
            try:
                for task in tasks:
                    outcome = await task
                    if outcome.broker:  # the others would fail in the same way
                        raise leave(Exit.BROKER, outcome.message)
                    order.show(outcome)
                    outcomes.append(outcome)
            except (asyncio.CancelledError, typer.Exit):  # what is done already is not to be lost
                for task in [late for late in tasks[len(outcomes) :] if late.done() and not late.cancelled()]:
                    order.show(task.result())
                raise
    return _summary(order, outcomes)


def _summary(order: _Order, outcomes: Sequence[FileOutcome]) -> Exit:
    failed = [outcome for outcome in outcomes if outcome.code]
    if any(outcome.transcript and outcome.transcript.model.name == BUNDLED for outcome in outcomes):
        say(
            "the daemon runs the demo model, which knows a few short notes only: for real texts start it with "
            "STTD_MODEL=base (`sttd model fetch base` gets it)"
        )
    for outcome in outcomes:
        if outcome.transcript and outcome.transcript.dropped and order.form is not Format.JSON:
            text = " ".join(segment.text.strip() for segment in outcome.transcript.dropped)
            say(f"{harmless(outcome.file)}: left out, as most probably not said: {text}")
    for outcome in failed:
        say(f"{harmless(outcome.file)}: {outcome.code}: {outcome.message}")
    if order.output:
        say(f"{len(outcomes) - len(failed)} of {len(outcomes)} written to {order.output}")
    elif failed:
        say(f"{len(failed)} of {len(outcomes)} failed")
    return Exit.FAILED if failed else Exit.OK


def _asking(client: Client, order: _Order, bars: Bars) -> Asking:
    """How one file is sent, awaited, counted, and, with --output, written: at once, so that no result is lost."""
    places = targets(order.files, order.output, order.form) if order.output else {}

    async def ask(file: Path) -> FileOutcome:
        name = inputs.shown(file)

        def told(update: Progress) -> None:
            bars.report(name, update.fraction)

        sending = partial(client.transcribe, inputs.stdin() if file == STDIN else file, **order.options)
        outcome = await _outcome(name, partial(sending, on_progress=told) if bars.wanted else sending)
        if file in places:
            outcome = await asyncio.to_thread(_written, outcome, order.form, places[file])
        bars.done(name, outcome.transcript.duration if outcome.transcript else 0)
        return outcome

    return ask


@asynccontextmanager
async def _begun(files: Sequence[Path], ask: Asking) -> AsyncIterator[list[asyncio.Task[FileOutcome]]]:
    """All files as tasks, a bounded number of them in flight; none is left running."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(file: Path) -> FileOutcome:
        async with gate:
            return await ask(file)

    tasks = [asyncio.create_task(one(file), name=f"transcribe {file}") for file in files]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _outcome(name: str, send: Callable[[], Awaitable[Any]]) -> FileOutcome:
    try:
        return FileOutcome(name, await send())
    except errors.TranscriptionFailed as error:
        return FileOutcome(name, code=error.code, message=error.message, retryable=error.retryable)
    except errors.SttdClientError as error:
        broker = isinstance(error, errors.BrokerUnavailable | errors.NotServed)
        return FileOutcome(name, code=error.code, message=str(error), retryable=True, broker=broker)
    except OSError as error:
        return FileOutcome(name, code="file_unreadable", message=error.strerror or str(error))


def _written(outcome: FileOutcome, form: Format, target: Path) -> FileOutcome:
    try:
        write(outcome, form, target)
    except OSError as error:
        message = f"{harmless(str(target))}: {error.strerror or error}; it went to stdout"
        return replace(outcome, code="not_written", message=message, retryable=True)
    return outcome
