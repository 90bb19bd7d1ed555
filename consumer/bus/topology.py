"""The queues and exchanges of docs/contract.md as data, and two ways to apply them: declare, or only check.

Never deletes or redeclares anything: a difference is an error that names it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, ChannelPreconditionFailed

from sttd.consumer.errors import TopologyMismatch
from sttd.schemas import names
from sttd.service.broker_errors import words

DAY_MS = 24 * 3600 * 1000
DEAD_LETTERS_BYTES = 1024**3
LOOKS = 1_000_000
DELIVERY_LIMIT = 20  # the broker's last line; RabbitMQ 3.x has none by default, 4.x has 20

Step = Callable[[AbstractChannel], Awaitable[None]]
"""Declares, or checks, one queue or exchange."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue. `bound_to`: the fanout exchange that feeds it, if any."""

    name: str
    arguments: Mapping[str, Any]
    bound_to: str | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """All that the daemon needs on the broker. Exchanges are durable fanouts.

    `optional`: without these it serves all the same; the users of earlier versions have no right to them.
    """

    exchanges: tuple[str, ...]
    queues: tuple[Queue, ...]
    optional: frozenset[str] = frozenset()

    @property
    def forbidden_reply_targets(self) -> frozenset[str]:
        """Our own queues that must never receive a reply: it would be consumed as a request, or hide a dead letter."""
        return frozenset(queue.name for queue in self.queues[:-1])


def _quorum(**arguments: Any) -> dict[str, Any]:
    return {"x-queue-type": "quorum"} | {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}


def _kept(name: str, bound_to: str | None = None, **arguments: Any) -> Queue:
    # No program consumes these: people read them and put messages back. With 4.x's default of 20 the 21st read would
    # drop a message.
    return Queue(name, _quorum(delivery_limit=LOOKS, **arguments), bound_to)


def _work(name: str) -> Queue:
    # reject-publish: with drop-head the broker silently falls back to at-most-once dead-lettering.
    return Queue(
        name,
        _quorum(
            delivery_limit=DELIVERY_LIMIT,
            dead_letter_exchange=names.DEAD_EXCHANGE,
            dead_letter_strategy="at-least-once",
            overflow="reject-publish",
        ),
    )


def _retry(seconds: int) -> Queue:
    # Without a routing key of its own the queue dead-letters to the default exchange by the original one: its lane.
    name = names.retry_queue(seconds)
    arguments = _quorum(
        message_ttl=seconds * 1000,
        dead_letter_exchange="",
        dead_letter_strategy="at-least-once",
        overflow="reject-publish",
    )
    return Queue(name, arguments, bound_to=name)


def build(request_queue: str = names.REQUESTS, reply_queue: str = names.REPLIES) -> Topology:
    """Make the table for these two configurable names; the reply queue comes last."""
    return Topology(
        exchanges=(names.DEAD_EXCHANGE, names.CONTROL_EXCHANGE, names.OPERATOR_EXCHANGE, *names.RETRY_QUEUES),
        queues=(
            _kept(names.DEAD, names.DEAD_EXCHANGE, message_ttl=14 * DAY_MS, max_length_bytes=DEAD_LETTERS_BYTES),
            _work(request_queue),
            _work(names.overflow_of(request_queue)),
            _work(names.bulk_of(request_queue)),
            _work(names.suspect_of(request_queue)),
            *(_retry(seconds) for seconds in names.RETRY_SECONDS),
            _kept(names.REPLIES_DEAD, message_ttl=7 * DAY_MS),
            _kept(reply_queue, message_ttl=DAY_MS),
        ),
        optional=frozenset({names.OPERATOR_EXCHANGE, names.overflow_of(request_queue)}),
    )


async def ensure(
    connection: AbstractConnection,
    topology: Topology,
    mode: Literal["declare", "check"],
    hidden: Callable[[str, str], None],
) -> None:
    """Declare or check everything, on channels of its own. Raises `TopologyMismatch` that names the difference.

    `mode`: `declare` creates what is missing, `check` creates nothing. `hidden` is called with each one that the user
    may not check, and the broker's answer; of the optional ones also with what may not be declared or is missing.
    """
    passive = mode == "check"
    steps: list[tuple[str, str, Step]] = [
        *(("exchange", name, partial(_exchange, name, passive=passive)) for name in topology.exchanges),
        *(("queue", queue.name, partial(_queue, queue, passive=passive)) for queue in topology.queues),
    ]
    channel = await connection.channel(publisher_confirms=False)
    for kind, name, step in steps:
        what, optional = f"{kind} {name}", name in topology.optional
        refusal = await _met(what, step, channel, optional=optional)
        if refusal is None:
            continue
        if not (passive or optional):
            raise TopologyMismatch(
                f"{what} cannot be declared: {words(refusal)}; see the permissions in docs/operations.md"
            ) from refusal
        hidden(what, words(refusal))
        channel = await connection.channel(publisher_confirms=False)  # the refusal closed the other
    await channel.close()


async def _exchange(name: str, channel: AbstractChannel, *, passive: bool) -> None:
    await channel.declare_exchange(name, "fanout", durable=True, passive=passive)


async def _queue(queue: Queue, channel: AbstractChannel, *, passive: bool) -> None:
    declared = await channel.declare_queue(
        queue.name, durable=True, passive=passive, arguments=None if passive else dict(queue.arguments)
    )
    if queue.bound_to and not passive:
        await declared.bind(queue.bound_to)


async def _met(what: str, step: Step, channel: AbstractChannel, *, optional: bool) -> ChannelClosed | None:
    """Take the step; return the broker's refusal, or None. Of an optional one absence is a refusal."""
    try:
        await step(channel)
    except ChannelPreconditionFailed as error:
        raise TopologyMismatch(
            f"{what} exists with other arguments: {words(error)}; let it run empty, delete it, start again"
        ) from error
    except ChannelNotFoundEntity as error:
        if optional:
            return error
        raise TopologyMismatch(
            f"{what} does not exist; create it with `sttd topology declare`, or set STTD_TOPOLOGY=declare"
        ) from error
    except ChannelClosed as error:
        if "ACCESS_REFUSED" not in str(error):
            raise
        return error
    return None
