"""`sttd dead list|show|requeue|drop`: what could not be answered, why, and what becomes of it.

Needs the base install only. Nothing leaves a queue without `--yes`.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from aio_pika.abc import AbstractConnection

from sttd.commands.connection import client_settings, connected, run
from sttd.commands.dead import report
from sttd.commands.dead.deeds import Deed, Drop, lanes_of, requeueing, work
from sttd.commands.dead.letters import Choice, DeadQueue, Kind, Letter, opened
from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import harmless, leave, say, tell
from sttd.settings import ClientSettings

LOOKS: Final = 50

Queue = Annotated[
    Kind, typer.Option(help="`stt.dead`: requests. `stt.replies.dead`: finished replies whose queue was gone.")
]
Looks = Annotated[int, typer.Option(min=1, max=100_000, help="Messages to look at.")]
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Message ids or correlation ids; all messages that have one are taken."),
]
All = Annotated[bool, typer.Option("--all", help="All messages of the queue.")]
Reason = Annotated[
    str | None, typer.Option(help="Those with this reason: poison, retries_exhausted, delivery_limit ...")
]
Code = Annotated[str | None, typer.Option(help="Those with this error code: model_error ...")]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="Stop after this many. (default: no limit)")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this nothing is changed.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


def build() -> typer.Typer:
    """The group `sttd dead`."""
    app = typer.Typer(no_args_is_help=True, help="Dead letters: look at them, send them again, drop them.")
    app.command("list")(list_)
    app.command()(show)
    app.command()(requeue)
    app.command()(drop)
    return app


def list_(queue: Queue = Kind.REQUESTS, limit: Looks = LOOKS, json: Json = False) -> None:
    """Show what is there, newest last, and leave it there.

    RabbitMQ before 4.3 counts each look at a message as a delivery, and puts the message behind the rest.
    """
    _end(_list(queue, limit, json=json))


def show(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="A message id, a correlation id, or a position in the whole list: @3.")
    ],
    queue: Queue = Kind.REQUESTS,
    save: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the body (of a request: the audio) to this new file.")
    ] = None,
    json: Json = False,
) -> None:
    """Show all properties and headers of a message, and leave it there. Its body is only ever written to a file."""
    _end(_show(queue, name, save, json=json))


def requeue(
    ids: Ids = None,
    everything: All = False,
    reason: Reason = None,
    code: Code = None,
    limit: Most = None,
    queue: Queue = Kind.REQUESTS,
    to: Annotated[
        str | None, typer.Option("--to", metavar="QUEUE", help="Send to this queue instead of the one it came from.")
    ] = None,
    reply_to: Annotated[str | None, typer.Option(help="Where the answers go instead of to the senders.")] = None,
    yes: Yes = False,
) -> None:
    """Send messages again; without --yes only list them.

    A request starts anew in its own queue, with its options and ids, but without its attempts and its expiration. A
    reply goes to its original queue, if that exists now. RabbitMQ confirms each copy before the dead message is
    removed: after a crash in between there are two, never none.
    """
    if reply_to and queue is Kind.REPLIES:
        raise typer.BadParameter("--reply-to is for requests; a reply goes to --to")
    choice = _choice(ids, reason, code, everything=everything)
    _end(
        _work(
            queue,
            choice,
            lambda connection, settings: requeueing(connection, queue, settings, to, reply_to),
            limit,
            yes=yes,
        )
    )


def drop(
    ids: Ids = None,
    everything: All = False,
    reason: Reason = None,
    code: Code = None,
    limit: Most = None,
    queue: Queue = Kind.REQUESTS,
    yes: Yes = False,
) -> None:
    """Remove messages for good; without --yes only list them."""
    _end(_work(queue, _choice(ids, reason, code, everything=everything), lambda *_: Drop(), limit, yes=yes))


def _choice(ids: list[str] | None, reason: str | None, code: str | None, *, everything: bool) -> Choice:
    if everything == bool(ids or reason or code):
        raise typer.BadParameter("choose: IDs, --reason, --code, or else --all")
    return Choice(frozenset(ids or ()), reason, code)


def _end(story: Coroutine[Any, Any, Exit]) -> None:
    try:
        run(story, "; what was not done is still in its queue")
    except KeyboardInterrupt:
        raise leave(Exit.INTERRUPTED, "interrupted: what was not done is still in its queue") from None


@asynccontextmanager
async def _queue(settings: ClientSettings, kind: Kind) -> AsyncIterator[DeadQueue]:
    async with connected(settings, "sttd dead") as connection, opened(connection, kind) as queue:
        yield queue


async def _list(kind: Kind, limit: int, *, json: bool) -> Exit:
    settings = client_settings()
    async with _queue(settings, kind) as queue:
        letters = report.in_order([held.letter async for held in queue.walk(limit)])
        total = queue.total
    if json:
        tell(report.as_json([report.summary(letter, lanes_of(settings)) for letter in letters]))
        return Exit.OK
    for line in report.table(kind, letters, lanes_of(settings)) if letters else ():
        tell(line)
    say(f"{len(letters)} of {total} in {kind}" + ("; --limit shows more" if total > len(letters) else ""))
    return Exit.OK


async def _show(kind: Kind, name: str, save: Path | None, *, json: bool) -> Exit:
    settings = client_settings()
    async with _queue(settings, kind) as queue:
        letters = report.in_order([held.letter async for held in queue.walk()])
    found = _found(letters, name)
    if not found:
        raise leave(
            Exit.FAILED,
            f"nothing in {kind} is called {harmless(name)}; `sttd dead list --queue {kind}` shows what is there",
        )
    if save is not None:
        await _save(settings, kind, found, save)
    if json:
        tell(report.as_json([report.everything(letter) for letter in found]))
        return Exit.OK
    tell("\n\n".join("\n".join(report.description(letter)) for letter in found))
    return Exit.OK


def _found(letters: list[Letter], name: str) -> list[Letter]:
    """By message id first: a correlation id is the caller's, and many callers count 1, 2, 3."""
    by_message = [letter for letter in letters if letter.message_id == name]
    by_correlation = [letter for letter in letters if letter.correlation_id == name]
    position = int(name[1:]) if name.startswith("@") and name[1:].isdecimal() else 0
    return by_message or by_correlation or letters[max(position - 1, 0) : position]


async def _save(settings: ClientSettings, kind: Kind, found: list[Letter], path: Path) -> None:
    """A second look, for the one body that is wanted: the first kept none in memory."""
    if len(found) > 1:
        raise leave(
            Exit.USAGE,
            f"{len(found)} messages are called that: name one by its message id or its position to save its body",
        )
    async with _queue(settings, kind) as queue:
        async for held in queue.walk():
            if held.letter.same(found[0]):
                return _write(path, held.body)
    raise leave(Exit.FAILED, "it has left the queue meanwhile: nothing was written")


def _write(path: Path, body: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(body)
    except OSError as error:
        raise leave(Exit.USAGE, f"{path} cannot be written ({error.strerror}); the file must not exist yet") from None
    say(f"{len(body):,} bytes written to {path}")


async def _work(
    kind: Kind,
    choice: Choice,
    deed: Callable[[AbstractConnection, ClientSettings], Deed],
    limit: int | None,
    *,
    yes: bool,
) -> Exit:
    settings = client_settings()
    async with connected(settings, "sttd dead") as connection, opened(connection, kind) as queue:
        return await work(queue, choice, deed(connection, settings), limit, yes=yes)
