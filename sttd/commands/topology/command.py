"""`sttd topology declare` and `sttd topology check`: the daemon's queues and exchanges, one line each.

Needs the base install only.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import typer

from sttd.commands.connection import client_settings, connected, daemon_settings, run
from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import say, tell
from sttd.commands.topology.survey import GOOD, QueueFinding, SurveyState, survey

SECONDS: Final = 30
"""For the whole survey: some thirty short questions."""

ADVICE: Final = {
    SurveyState.MISSING: "what is missing: `sttd topology declare` creates it",
    SurveyState.DIFFERS: "what differs cannot be changed: empty the queue, delete it, then `sttd topology declare`",
    SurveyState.REFUSED: "what is refused: see the permissions in docs/operations.md",
    SurveyState.HIDDEN: "what is hidden may exist: to look at a queue a user needs a permission on it, such as write",
    SurveyState.UNCHECKED: "to compare arguments as well, run this as a user with configure permission",
}


def build() -> typer.Typer:
    """The group `sttd topology`."""
    app = typer.Typer(no_args_is_help=True, help="Queues and exchanges: create what is missing, or see how they are.")
    app.command()(declare)
    app.command()(check)
    return app


def declare() -> None:
    """Create and bind what is missing; never change or delete what exists.

    Exit code 4 if something exists with other arguments, or is refused.
    """
    run(_survey(declare=True))


def check() -> None:
    """Look only, and change nothing. Exit code 4 if something is missing, is refused, or has other arguments.

    Arguments are compared where this user has configure permission; elsewhere only existence can be seen. Bindings
    cannot be seen over AMQP: `sttd topology declare` sets them.
    """
    run(_survey(declare=False))


async def _survey(*, declare: bool) -> Exit:
    from sttd.consumer.bus import topology  # noqa: PLC0415 - commands import the daemon lazily

    settings, findings = daemon_settings(), []
    plan = topology.build(settings.request_queue, settings.reply_queue)
    async with connected(client_settings(), "sttd topology") as connection, asyncio.timeout(SECONDS):
        async for finding in survey(connection, plan, declare=declare):
            tell(_line(finding))
            findings.append(finding)
    return _verdict(findings)


def _line(finding: QueueFinding) -> str:
    told = finding.state if finding.state is not SurveyState.UNCHECKED else SurveyState.OK
    return f"{told:<8} {finding.kind:<8} {finding.name}{'  ' + finding.detail if finding.detail else ''}"


def _verdict(findings: Sequence[QueueFinding]) -> Exit:
    states = {finding.state for finding in findings}
    for state, advice in ADVICE.items():
        if state in states:
            say(advice)
    return Exit.OK if states <= GOOD else Exit.TOPOLOGY
