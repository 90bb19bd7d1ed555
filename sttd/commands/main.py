"""Entry point `sttd`: puts the commands together. Does nothing else; importing it reads no setting and no model."""

import logging
from importlib.metadata import version
from typing import Annotated

import typer

from sttd.commands import gateway, model, serve
from sttd.commands.bench.command import bench
from sttd.commands.check.command import check
from sttd.commands.control import command as control
from sttd.commands.dead import command as dead
from sttd.commands.demo.command import demo
from sttd.commands.plain_help import plain
from sttd.commands.size.command import size
from sttd.commands.topology import command as topology
from sttd.commands.transcribe.command import transcribe

HELP = """Voice notes in, text out, over RabbitMQ.

A daemon (`sttd serve`) takes voice notes from the queue `stt.requests`,
transcribes them with Whisper and answers each on its reply queue. A bot
sends them with `from sttd import Client`; a person with these commands.

The three that you need first:

    sttd demo                   see it work: sample notes and their texts
    sttd serve                  run the daemon
    sttd transcribe FILE...     send files, print their texts
"""

EPILOG = """Settings come from the environment and from `.env`, prefix `STTD_`:
STTD_AMQP_URL (default amqp://guest:guest@127.0.0.1:5672/), STTD_MODEL,
STTD_REQUEST_QUEUE, STTD_TIMEOUT and more; options win over them.

Exit codes: 0 fine, 1 some work failed, 2 called wrongly,
3 no broker or no daemon, 4 queues missing, different or refused,
130 interrupted."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sttd {version('sttd')}")
        raise typer.Exit


def _root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Only carries the options of `sttd` itself; typer shows HELP instead of this line."""


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False, rich_markup_mode="markdown"
    )
    app.callback(help=HELP, epilog=EPILOG)(_root)
    app.command()(demo)
    app.command()(serve.serve)
    app.command()(transcribe)
    app.command()(gateway.gateway)
    app.command()(check)
    app.command()(bench)
    app.command()(size)
    app.add_typer(model.build(), name="model")
    app.add_typer(topology.build(), name="topology")
    app.add_typer(control.build(), name="control")
    app.add_typer(dead.build(), name="dead")
    return plain(app)


def main() -> None:
    """Run the command line; ends the process with a code of `exit_codes.Exit`."""
    # It logs what it also raises, and our own message is shown.
    logging.getLogger("aiormq").addHandler(logging.NullHandler())
    build()(prog_name="sttd")
