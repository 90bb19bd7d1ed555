"""Looks at every queue and exchange of the topology, one by one. Declares only when asked to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, ChannelPreconditionFailed

from sttd.errands import refused
from sttd.service.broker_errors import words

if TYPE_CHECKING:
    from sttd.consumer.bus.topology import Topology

_DIFFERENCE: Final = re.compile(r"inequivalent arg '([^']+)' for .*?: (received .*)")
_NOISE: Final = re.compile(r"the value | of type '\w+'|'")


class SurveyState(StrEnum):
    """How one queue or exchange is."""

    OK = "ok"
    UNCHECKED = "unchecked"  # it exists; what it is made with could not be compared
    CREATED = "created"
    MISSING = "missing"
    DIFFERS = "differs"
    REFUSED = "refused"
    HIDDEN = "hidden"  # this user may not look at it


GOOD: Final = frozenset({SurveyState.OK, SurveyState.UNCHECKED, SurveyState.CREATED})


@dataclass(frozen=True, slots=True)
class QueueFinding:
    """One queue or exchange. `detail`: what differs, or the broker's text; empty when all is well."""

    kind: str
    name: str
    state: SurveyState
    detail: str = ""


async def survey(connection: AbstractConnection, plan: Topology, *, declare: bool) -> AsyncIterator[QueueFinding]:
    """Exchanges first, because queues are bound to them. Without `declare` nothing is created, bound or changed."""
    from sttd.consumer.bus.topology import Topology  # noqa: PLC0415 - commands import the daemon lazily

    for exchange in plan.exchanges:
        yield await _look(connection, "exchange", exchange, Topology((exchange,), ()), declare=declare)
    for queue in plan.queues:
        part = Topology((), (queue if declare else replace(queue, bound_to=None),))
        yield await _look(connection, "queue", queue.name, part, declare=declare)


async def _look(connection: AbstractConnection, kind: str, name: str, part: Topology, *, declare: bool) -> QueueFinding:
    """Passively first, which shows no more than existence.

    Declaring again what exists compares the arguments and changes nothing.
    """
    found = await _seen(connection, kind, name, part)
    if found.state is SurveyState.REFUSED or (found.state is not SurveyState.OK and not declare):
        return found
    refusal = await _refusal(connection, part, passive=False)
    if refusal is None:
        return QueueFinding(kind, name, SurveyState.CREATED if found.state is SurveyState.MISSING else SurveyState.OK)
    if isinstance(refusal, ChannelPreconditionFailed):
        return QueueFinding(kind, name, SurveyState.DIFFERS, _difference(refusal))
    if declare or not refused(refusal):
        return QueueFinding(kind, name, SurveyState.REFUSED, words(refusal))
    return QueueFinding(kind, name, SurveyState.UNCHECKED, "exists; arguments not checked (no configure permission)")


async def _seen(connection: AbstractConnection, kind: str, name: str, part: Topology) -> QueueFinding:
    hidden: list[str] = []
    refusal = await _refusal(connection, part, passive=True, hidden=lambda _what, said: hidden.append(said))
    if isinstance(refusal, ChannelNotFoundEntity):
        return QueueFinding(kind, name, SurveyState.MISSING)
    if refusal is not None:
        return QueueFinding(kind, name, SurveyState.REFUSED, words(refusal))
    if hidden:
        return QueueFinding(kind, name, SurveyState.HIDDEN, f"this user may not look at it: {hidden[0]}")
    return QueueFinding(kind, name, SurveyState.OK)


async def _refusal(
    connection: AbstractConnection,
    part: Topology,
    *,
    passive: bool,
    hidden: Callable[[str, str], None] = lambda _what, _said: None,
) -> BaseException | None:
    """What the broker has against it: the error that closed the channel. A lost connection is raised."""
    from sttd.consumer.bus.topology import ensure  # noqa: PLC0415 - commands import the daemon lazily
    from sttd.consumer.errors import TopologyMismatch  # noqa: PLC0415 - the same

    try:
        await ensure(connection, part, "check" if passive else "declare", hidden)
    except TopologyMismatch as error:
        return error.__cause__ or error
    except ChannelClosed as error:  # another connection's exclusive queue, for one
        return error
    return None


def _difference(error: BaseException) -> str:
    """RabbitMQ names the first argument that differs: ours comes first in its sentence, then the queue's own."""
    found = _DIFFERENCE.search(words(error))
    if found is None:
        return words(error)
    ours, _, theirs = _NOISE.sub("", found[2]).removeprefix("received ").partition(" but current is ")
    return f"{found[1]} should be {ours}, is {theirs}"
