"""`sttd check`: can this host serve? One line for each thing that it takes, and what to do where it fails.

Starts nothing that stays, and leaves nothing on the broker.
"""

import asyncio
import json as json_
from collections.abc import AsyncIterator, Callable
from typing import Annotated

import typer

from sttd.commands import extras
from sttd.commands.check import host, rabbitmq, settings
from sttd.commands.check.line import Line, Status, failed
from sttd.commands.connection import client_settings, daemon_settings
from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import leave, tell


def check(json: Annotated[bool, typer.Option("--json", help="A JSON list instead of lines.")] = False) -> None:
    """Show whether this host can serve.

    Looks at settings, broker, its limits and queues, the model, the decoder, the processor, memory and ports. Exit code
    0: yes, perhaps with warnings. Else the code of the first failure: 3 the broker, its version or permissions, 4 its
    queues, 1 this host. 2 means that a setting is wrong and nothing was looked at. Takes seconds; with a large model,
    as long as reading it.
    """
    show: Callable[[Line], None] = (lambda _line: None) if json else _print
    try:
        lines = asyncio.run(_gather(show))
    except KeyboardInterrupt:
        raise leave(Exit.INTERRUPTED, "interrupted") from None
    if json:
        typer.echo(json_.dumps([_plain(line) for line in lines], ensure_ascii=False, indent=2))
    raise typer.Exit(verdict(lines))


async def _gather(show: Callable[[Line], None]) -> list[Line]:
    lines = []
    async for line in _lines():
        show(line)
        lines.append(line)
    return lines


async def _lines() -> AsyncIterator[Line]:
    daemon, client = daemon_settings(), client_settings()
    yield settings.look(client)
    async for line in rabbitmq.look(daemon, client):
        yield line
    if missing := extras.missing(extras.CONSUMER):
        yield failed(
            "libraries",
            f"{', '.join(missing)} missing: a daemon needs them, a bot does not",
            extras.INSTALL["consumer"],
        )
        return
    async for line in host.look(daemon):
        yield line


def verdict(lines: list[Line]) -> Exit:
    """The first failure's code: what comes after it often follows from it."""
    return next((line.code for line in lines if line.status is Status.FAILED), Exit.OK)


def _print(line: Line) -> None:
    tell(f"{line.status:<8} {line.check:<17} {line.detail}")
    if line.step:
        tell(f"{'':<8} {'':<17} -> {line.step}")


def _plain(line: Line) -> dict[str, str]:
    return {"check": line.check, "status": line.status.lower(), "detail": line.detail, "next": line.step}
