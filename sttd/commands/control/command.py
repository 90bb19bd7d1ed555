"""`sttd control`: asks all daemons, or one, for their state, or changes it; one line for each that answers.

Needs the base install only.
"""

import asyncio
from contextlib import suppress
from typing import Annotated, Final
from uuid import uuid4

import typer
from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelClosed, PublishError

from sttd.commands.connection import client_settings, connected, trouble
from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import leave, say, tell
from sttd.errors import BrokerUnavailable
from sttd.schemas import names
from sttd.schemas.order import DaemonReport, LogLevel, Order
from sttd.service.broker_errors import words

SECONDS: Final = 2.0
"""How long daemons have to answer."""

NOBODY: Final = (
    "no daemon answered within 2 s: is one running on this vhost, and was its model loaded? See `sttd check`"
)
HEAD: Final = ("WORKER", "IN HAND", "PREFETCH", "LOG LEVEL", "STATE")

LONGEST_WORKER: Final = 255
"""Characters, by the contract."""


def _short(worker: str | None) -> str | None:
    if worker and len(worker) > LONGEST_WORKER:
        raise typer.BadParameter(f"an order names at most {LONGEST_WORKER} characters of a daemon")
    return worker


Worker = Annotated[
    str | None, typer.Option(callback=_short, help="Only the daemon with this STTD_WORKER. (default: all)")
]


def build() -> typer.Typer:
    """The group `sttd control`."""
    app = typer.Typer(no_args_is_help=True, help="Running daemons: see their state, pause, resume, drain, tune.")
    for command in (status, pause, resume, drain, prefetch):
        app.command()(command)
    app.command("log-level")(log_level)
    return app


def status(worker: Worker = None) -> None:
    """Show the state of each daemon."""
    _run(Order(command="status", worker=worker))


def pause(worker: Worker = None) -> None:
    """Take no more requests, until `resume` or a restart. What is in hand is finished."""
    _run(Order(command="pause", worker=worker))


def resume(worker: Worker = None) -> None:
    """End a pause."""
    _run(Order(command="resume", worker=worker))


def drain(worker: Worker = None) -> None:
    """Finish what is in hand and exit with 0, as at SIGTERM. The service manager may start it again."""
    _run(Order(command="drain", worker=worker))


def prefetch(
    notes: Annotated[int, typer.Argument(min=1, max=2000, help="Notes of each queue in hand at once.")],
    worker: Worker = None,
) -> None:
    """Take at most so many notes of each queue at a time, until the next restart; STTD_PREFETCH at most."""
    _run(Order(command="prefetch", prefetch=notes, worker=worker))


def log_level(level: LogLevel, worker: Worker = None) -> None:
    """Log from this level on, until the next restart."""
    _run(Order(command="log-level", log_level=level, worker=worker))


def _run(order: Order) -> None:
    try:
        reports = asyncio.run(_ask(order))
    except BrokerUnavailable as error:
        raise leave(Exit.BROKER, str(error)) from None
    except PublishError:
        raise leave(Exit.BROKER, NOBODY) from None
    except ChannelClosed as error:
        hint = f"a daemon creates the exchange {names.OPERATOR_EXCHANGE}, and only an operator may write to it"
        raise leave(Exit.BROKER, f"{words(error)}; {hint}: see the permissions in docs/operations.md") from None
    except (TimeoutError, *CONNECTION_EXCEPTIONS) as error:
        raise leave(Exit.BROKER, trouble(error)) from None
    if not reports:
        named = f"is {order.worker} the name of one (`sttd control status` shows all)?"
        raise leave(Exit.BROKER, NOBODY if order.worker is None else f"no such daemon answered within 2 s: {named}")
    for line in _table(sorted(reports, key=lambda report: report.worker)):
        tell(line)
    refusals = [report for report in reports if report.refused]
    for report in refusals:
        say(f"{report.worker}: {report.refused}")
    raise typer.Exit(Exit.FAILED if refusals else Exit.OK)


async def _ask(order: Order) -> list[DaemonReport]:
    """Publish the order; return what came until the time was over, or until the one that was meant has answered."""
    reports: list[DaemonReport] = []
    enough = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        reports.append(DaemonReport.model_validate_json(message.body))
        if order.worker is not None:
            enough.set()

    async with connected(client_settings(), "sttd control") as connection:
        channel = await connection.channel(on_return_raises=True)
        replies = await channel.get_queue(names.DIRECT_REPLY_TO, ensure=False)
        await replies.consume(take, no_ack=True)
        exchange = await channel.get_exchange(names.OPERATOR_EXCHANGE, ensure=False)
        body = order.model_dump_json(exclude_none=True).encode()
        message = Message(body, reply_to=names.DIRECT_REPLY_TO, message_id=str(uuid4()))
        await exchange.publish(message, "", timeout=SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await enough.wait()
    return reports


def _table(reports: list[DaemonReport]) -> list[str]:
    rows = [HEAD, *((r.worker, str(r.in_hand), str(r.prefetch), r.log_level, r.state) for r in reports)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]
