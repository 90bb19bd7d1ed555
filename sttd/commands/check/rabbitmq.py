"""What `sttd check` asks the broker: version, permissions, queues, and limits against the settings.

Leaves nothing behind: every probe is a request that the broker refuses after it has looked at the permission, so that
nothing is declared, published or consumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelClosed
from pamqp.commands import Basic

from sttd import errands
from sttd.commands.check.line import Line, failed, ok, warning
from sttd.commands.connection import LoginRefused, connected, server_version
from sttd.commands.exit_codes import Exit
from sttd.commands.topology.survey import QueueFinding, SurveyState, survey
from sttd.errors import BrokerUnavailable, NotVisible
from sttd.schemas import names
from sttd.service.broker_errors import words
from sttd.settings import ClientSettings

if TYPE_CHECKING:
    from sttd.consumer.bus.topology import Topology
    from sttd.consumer.settings import Settings

SECONDS: Final = 30
"""For all questions together: some forty round trips, which a busy machine answers slowly."""

MIB: Final = 1024 * 1024
OLDEST: Final = (3, 10)
FLAGS_ALWAYS_ON: Final = (3, 12)
SMALL_MESSAGES: Final = (4, 0)
CONSUMER_TIMEOUT: Final = 1800
"""Seconds; RabbitMQ's default since 3.8.17. Beyond it the broker takes a note away from its consumer."""

PERMISSIONS: Final = "rabbitmqctl set_permissions, with the lines in docs/operations.md"


async def look(settings: Settings, client: ClientSettings) -> AsyncIterator[Line]:
    """Yield a line per question; the first that cannot be asked ends it."""
    try:
        async with asyncio.timeout(SECONDS), connected(client, "sttd check") as connection:
            yield ok("broker", f"reachable at {client.broker}; user, password and vhost are taken")
            async for line in _ask(connection, settings):
                yield line
    except LoginRefused as error:
        yield failed(
            "broker",
            str(error),
            "correct STTD_AMQP_URL, or add the user and the vhost: rabbitmqctl add_user, add_vhost",
            Exit.BROKER,
        )
    except BrokerUnavailable as error:
        yield failed("broker", str(error), "start RabbitMQ, or correct STTD_AMQP_URL", Exit.BROKER)
    except (TimeoutError, *CONNECTION_EXCEPTIONS) as error:
        why = f"no answer within {SECONDS} s" if isinstance(error, TimeoutError) else words(error)
        yield failed(
            "broker", f"it stopped answering: {why}", "look into RabbitMQ's log and at its alarms", Exit.BROKER
        )


async def _ask(connection: AbstractConnection, settings: Settings) -> AsyncIterator[Line]:
    from sttd.consumer.bus import topology  # noqa: PLC0415 - commands import the daemon lazily

    version = server_version(connection)
    yield version_line(version)
    plan = topology.build(settings.request_queue, settings.reply_queue)
    yield await _permissions(connection, plan, settings)
    yield await _cancels(connection)
    yield queues_line([finding async for finding in survey(connection, plan, declare=False)], settings.topology)
    yield await _serving(connection, settings.request_queue)
    yield message_size_line(version, settings.max_body_bytes)
    yield timeout_line(settings.job_seconds)


def version_line(version: tuple[int, ...]) -> Line:
    """Quorum queues with TTL and at-least-once dead-lettering came with 3.10; that needs the flag `stream_queue`."""
    told = "RabbitMQ " + ".".join(map(str, version))
    if not version:
        return warning(
            "version", "the broker does not report its version", "make sure that it is RabbitMQ 3.10 or later"
        )
    if version < OLDEST:
        return failed(
            "version",
            f"{told}: no quorum queues with TTL and at-least-once dead-lettering",
            "use RabbitMQ 3.10 or later",
            Exit.BROKER,
        )
    if version < FLAGS_ALWAYS_ON:
        return ok(
            "version",
            f"{told}; if it was upgraded from 3.8, the feature flag stream_queue must be on "
            "(rabbitmqctl list_feature_flags)",
        )
    return ok("version", told)


def queues_line(findings: list[QueueFinding], mode: str) -> Line:
    """Missing ones are created at the start, unless the daemon may only check."""
    wrong = [finding for finding in findings if finding.state in {SurveyState.DIFFERS, SurveyState.REFUSED}]
    missing = [finding for finding in findings if finding.state is SurveyState.MISSING]
    hidden = [finding for finding in findings if finding.state is SurveyState.HIDDEN]
    unchecked = any(finding.state is SurveyState.UNCHECKED for finding in findings)
    if wrong:
        told = "; ".join(f"{finding.kind} {finding.name}: {finding.detail}" for finding in wrong)
        differs = any(finding.state is SurveyState.DIFFERS for finding in wrong)
        return failed(
            "queues",
            told,
            "let it run empty, delete it, then `sttd topology declare`" if differs else PERMISSIONS,
            Exit.TOPOLOGY,
        )
    if missing and mode == "check":
        told = ", ".join(finding.name for finding in missing)
        return failed(
            "queues",
            f"missing, and STTD_TOPOLOGY=check: {told}",
            "`sttd topology declare` as a user who may",
            Exit.TOPOLOGY,
        )
    if missing:
        return ok(
            "queues",
            f"{len(missing)} of {len(findings)} queues and exchanges are missing; the daemon creates them at its start",
        )
    if hidden:
        told = ", ".join(finding.name for finding in hidden)
        return warning("queues", f"this user may not look at {told}: they may be missing", PERMISSIONS)
    told = "they exist; arguments not checked (no configure permission)" if unchecked else "all as they should be"
    return ok("queues", f"{len(findings)} queues and exchanges: {told}")


async def _serving(connection: AbstractConnection, queue: str) -> Line:
    try:
        state = await errands.look(connection, queue)
    except NotVisible:
        return warning("serving", f"this user may not look whether a daemon serves {queue}", PERMISSIONS)
    with suppress(NotVisible):  # an old user has no right to it
        moved = await errands.look(connection, names.overflow_of(queue))
        if state and moved:
            state = replace(state, waiting=state.waiting + moved.waiting)
    return serving_line(queue, state)


def serving_line(queue: str, state: errands.QueueState | None) -> Line:
    """Whether a daemon is at work now: without one, requests wait."""
    if state is None or not state.consumers:
        waiting = f", and {state.waiting:,} requests wait in it" if state and state.waiting else ""
        return warning("serving", f"no daemon serves {queue} now{waiting}", "start one: sttd serve")
    one = state.consumers == 1
    return ok("serving", f"{state.consumers:,} daemon{'' if one else 's'} at {queue}, {state.waiting:,} requests wait")


def message_size_line(version: tuple[int, ...], largest: int) -> Line:
    """The broker does not report its limit, so its default is taken."""
    limit = 16 * MIB if version >= SMALL_MESSAGES else 128 * MIB
    told = (
        f"STTD_MAX_BODY_BYTES is {largest / MIB:g} MiB; "
        f"this RabbitMQ takes {limit // MIB} MiB unless configured (max_message_size)"
    )
    if largest <= limit:
        return ok("message size", told)
    return warning(
        "message size", told, f"set max_message_size = {largest} in rabbitmq.conf, or STTD_MAX_BODY_BYTES={limit}"
    )


def timeout_line(job_seconds: float) -> Line:
    """The daemon must give up on a note before the broker gives up on the daemon."""
    told = (
        f"STTD_JOB_SECONDS is {job_seconds:g}; "
        f"RabbitMQ waits {CONSUMER_TIMEOUT} s for an ack unless configured (consumer_timeout)"
    )
    if job_seconds < CONSUMER_TIMEOUT:
        return ok("consumer timeout", told)
    return warning("consumer timeout", told, "raise consumer_timeout in rabbitmq.conf, or lower STTD_JOB_SECONDS")


async def _permissions(connection: AbstractConnection, plan: Topology, settings: Settings) -> Line:
    refused = [what async for what in _refused(connection, _needs(plan, settings))]
    if refused:
        return failed("permissions", f"this user may not {', '.join(refused)}", PERMISSIONS, Exit.BROKER)
    return ok(
        "permissions",
        "configure, write and read as the daemon needs"
        if settings.topology == "declare"
        else "write and read as needed",
    )


Probe = Callable[[AbstractChannel], Awaitable[object]]


def _needs(plan: Topology, settings: Settings) -> dict[str, Probe]:
    queues = names.request_queues(settings.request_queue)
    needs: dict[str, Probe] = {f"read from {queue}": partial(_read, queue) for queue in queues}
    for exchange in ("", names.DEAD_EXCHANGE, *names.RETRY_QUEUES):
        needs[f"write to {exchange or 'amq.default'}"] = partial(_write, exchange)
    if settings.topology == "declare":
        needs |= {f"configure {queue.name}": partial(_configure, queue.name) for queue in plan.queues}
    return needs


async def _cancels(connection: AbstractConnection) -> Line:
    """Each daemon takes cancels from a queue of its own; without that it serves all the same."""
    queue = f"{names.CONTROL_EXCHANGE}.probe"
    needs: dict[str, Probe] = {
        f"configure {queue}": partial(_configure, queue),
        f"bind {queue} to {names.CONTROL_EXCHANGE}": partial(_bind, queue, names.CONTROL_EXCHANGE),
        f"read from {queue}": partial(_read, queue),
    }
    if refused := [what async for what in _refused(connection, needs)]:
        return warning("cancels", f"cannot be received: this user may not {', '.join(refused)}", PERMISSIONS)
    return ok("cancels", f"this user may have a queue of its own at {names.CONTROL_EXCHANGE}")


async def _refused(connection: AbstractConnection, needs: dict[str, Probe]) -> AsyncIterator[str]:
    """The probes that end at the permission; the others end later, at what makes them impossible."""
    for what, probe in needs.items():
        channel = await connection.channel(publisher_confirms=True)
        try:
            await probe(channel)
            await channel.close()
        except ChannelClosed as error:
            if "ACCESS_REFUSED" in words(error):
                yield what


async def _read(queue: str, channel: AbstractChannel) -> object:
    """A consumer whose priority is no number."""
    underlay = await channel.get_underlay_channel()
    return await underlay.basic_consume(queue, _take_nothing, arguments={"x-priority": "probe"})


async def _take_nothing(_message: object) -> None:
    """The consumer of a probe never comes to be."""


async def _write(exchange: str, channel: AbstractChannel) -> object:
    """A message whose expiration is no number."""
    underlay = await channel.get_underlay_channel()
    return await underlay.basic_publish(
        b"", exchange=exchange, routing_key="sttd.check", properties=Basic.Properties(expiration="probe")
    )


async def _configure(queue: str, channel: AbstractChannel) -> object:
    """A queue with a negative time to live; if it exists, it differs."""
    return await channel.declare_queue(queue, durable=True, arguments={"x-message-ttl": -1})


async def _bind(queue: str, exchange: str, channel: AbstractChannel) -> object:
    """A queue that does not exist."""
    underlay = await channel.get_underlay_channel()
    return await underlay.queue_bind(queue, exchange)
