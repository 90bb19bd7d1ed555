"""Declaring and checking the topology on a real RabbitMQ, and what an operator reads when the two differ."""

from typing import Any, Literal

import aio_pika
import pytest

from sttd.consumer.bus import topology
from sttd.consumer.errors import ExitCode, TopologyMismatch
from sttd.schemas import names
from tests.support.broker import Broker

PLAN = topology.build()


async def ensure(url: str, mode: Literal["declare", "check"], plan: topology.Topology = PLAN) -> list[str]:
    """Declare or check on a connection of its own; returns what the user may not check."""
    hidden: list[str] = []
    async with await aio_pika.connect(url) as connection:
        await topology.ensure(connection, plan, mode, lambda what, _said: hidden.append(what))
    return hidden


async def refused(url: str, mode: Literal["declare", "check"]) -> str:
    """The sentence of the start-up error."""
    with pytest.raises(TopologyMismatch) as error:
        await ensure(url, mode)
    assert error.value.exit_code is ExitCode.TOPOLOGY
    return error.value.message


def described(broker: Broker) -> dict[str, dict[str, Any]]:
    """The queues of the vhost by name."""
    return {queue["name"]: queue for queue in broker.queues()}


async def test_declaring_makes_exactly_the_planned_queues_and_may_be_repeated(broker: Broker) -> None:
    """Every daemon declares at each start and each reconnect."""
    await ensure(broker.amqp_url, "declare")
    await ensure(broker.amqp_url, "declare")

    found = described(broker)
    assert {name: queue["arguments"] for name, queue in found.items()} == {
        queue.name: dict(queue.arguments) for queue in PLAN.queues
    }
    assert {queue["type"] for queue in found.values()} == {"quorum"}


async def test_what_was_declared_passes_the_check(broker: Broker) -> None:
    """One user declares, the daemons only check."""
    await ensure(broker.amqp_url, "declare")
    await ensure(broker.amqp_url, "check")


@pytest.mark.parametrize(
    ("queue", "arguments", "named"),
    [
        (names.REQUESTS, {}, "x-dead-letter-exchange"),
        (names.REPLIES, {"x_message_ttl": topology.DAY_MS}, "x-queue-type"),
        (names.SUSPECT, {"x_queue_type": "quorum"}, "x-dead-letter-exchange"),
        (
            names.REPLIES,
            {"x_queue_type": "quorum", "x_delivery_limit": topology.LOOKS, "x_message_ttl": 5},
            "x-message-ttl",
        ),
    ],
)
async def test_a_queue_with_other_arguments_is_an_error_that_names_the_difference(
    queue: str, arguments: dict[str, Any], named: str, broker: Broker
) -> None:
    """Not a reconnect loop with one log line a second."""
    broker.declare(queue, **arguments)

    message = await refused(broker.amqp_url, "declare")

    assert f"queue {queue} exists with other arguments" in message
    assert named in message


async def test_an_exchange_of_another_kind_is_an_error_that_names_it(broker: Broker) -> None:
    """Another program's `stt.dlx`, a direct one for example, would drop every dead letter."""
    with broker.connect() as connection:
        connection.channel().exchange_declare(names.DEAD_EXCHANGE, "direct", durable=True)

    message = await refused(broker.amqp_url, "declare")

    assert "exchange stt.dlx" in message
    assert "'type'" in message


@pytest.mark.parametrize("gone", ["queue", "exchange"])
async def test_the_check_names_what_is_missing_and_how_to_make_it(gone: str, broker: Broker) -> None:
    """It must not create anything either."""
    await ensure(broker.amqp_url, "declare")
    with broker.connect() as connection:
        channel = connection.channel()
        _ = channel.queue_delete(names.SUSPECT) if gone == "queue" else channel.exchange_delete(names.CONTROL_EXCHANGE)

    message = await refused(broker.amqp_url, "check")

    assert ("queue stt.suspect" if gone == "queue" else "exchange stt.control") in message
    assert "sttd topology declare" in message
    assert (names.SUSPECT in described(broker)) == (gone == "exchange")


async def test_without_configure_rights_declaring_says_so_and_checking_works(broker: Broker) -> None:
    """Production users may only read and write; the docs give the permission lines."""
    url = broker.add_user(f"{broker.user}-plain", "secret-x", configure="^$")

    message = await refused(url, "declare")
    assert "cannot be declared" in message
    assert "ACCESS_REFUSED" in message
    assert "secret-x" not in message

    await ensure(broker.amqp_url, "declare")
    assert await ensure(url, "check") == []


async def test_what_a_user_may_not_look_at_is_told_and_the_rest_is_looked_at(broker: Broker) -> None:
    """4.2.6 and later refuse the check, earlier versions never do.

    What is missing beyond the refusal is still an error.
    """
    url = broker.add_user(
        f"{broker.user}-narrow", "secret-x", configure="^$", write="^$", read=r"^stt\.(requests|retry.*)$"
    )
    await ensure(broker.amqp_url, "declare")

    hidden = await ensure(url, "check")

    seen = {"queue stt.requests", *(f"{kind} {name}" for kind in ("exchange", "queue") for name in names.RETRY_QUEUES)}
    everything = [*(f"exchange {name}" for name in PLAN.exchanges), *(f"queue {queue.name}" for queue in PLAN.queues)]
    assert hidden == ([] if broker.looks_are_free else [what for what in everything if what not in seen])
    with broker.connect() as connection:
        connection.channel().queue_delete(names.RETRY_QUEUES[-1])
    assert f"queue {names.RETRY_QUEUES[-1]} does not exist" in await refused(url, "check")


async def test_renamed_queues_are_declared_beside_the_others(broker: Broker) -> None:
    """Two daemons with queues of their own may share the retry tiers: a retried request goes back by its own lane."""
    await ensure(broker.amqp_url, "declare")
    await ensure(broker.amqp_url, "declare", topology.build("notes", "answers"))

    assert {"notes", "notes.bulk", "answers", names.REQUESTS} <= set(described(broker))


async def test_a_retry_copy_comes_back_to_its_lane_and_a_rejected_request_is_dead_lettered(broker: Broker) -> None:
    """The topology works as documented, with the tiers' delay made short."""
    quick = topology.Topology(
        PLAN.exchanges,
        tuple(
            topology.Queue(q.name, {**q.arguments, "x-message-ttl": 50}, q.bound_to) if ".retry." in q.name else q
            for q in PLAN.queues
        ),
    )
    await ensure(broker.amqp_url, "declare", quick)
    with broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for tier in names.RETRY_QUEUES:
            channel.basic_publish(tier, names.REQUESTS_BULK, tier.encode(), mandatory=True)
    await broker.wait_until(lambda: broker.depth(names.REQUESTS_BULK) == 3)

    with broker.connect() as connection:
        channel = connection.channel()
        method, _, body = channel.basic_get(names.REQUESTS_BULK)
        channel.basic_reject(method.delivery_tag, requeue=False)
        connection.process_data_events(0)
    await broker.wait_until(lambda: broker.depth(names.DEAD) == 1)
    assert broker.take(names.DEAD)[0].body == body
