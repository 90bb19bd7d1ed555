"""The topology as data: every argument of every queue, and what may never receive a reply."""

import pytest

from sttd.consumer.bus import topology
from sttd.schemas import names

PLAN = topology.build()
BY_NAME = {queue.name: queue for queue in PLAN.queues}
WORK = (names.REQUESTS, "stt.requests.overflow", names.REQUESTS_BULK, names.SUSPECT)


def test_all_queues_and_exchanges_of_the_design_are_there() -> None:
    """What is missing here is missing on the broker."""
    expected = {*WORK, *names.RETRY_QUEUES, names.DEAD, names.REPLIES, names.REPLIES_DEAD}
    assert set(BY_NAME) == expected
    assert set(PLAN.exchanges) == {
        names.DEAD_EXCHANGE,
        names.CONTROL_EXCHANGE,
        names.OPERATOR_EXCHANGE,
        *names.RETRY_QUEUES,
    }


def test_every_queue_is_a_quorum_queue() -> None:
    """They count deliveries and dead-letter at least once; classic ones do neither."""
    assert {queue.arguments["x-queue-type"] for queue in PLAN.queues} == {"quorum"}


@pytest.mark.parametrize("name", WORK)
def test_work_queues_bound_redelivery_and_lose_nothing_when_full(name: str) -> None:
    """RabbitMQ 3.x has no delivery limit by default; with drop-head, dead-lettering is silently at most once."""
    arguments = BY_NAME[name].arguments
    assert arguments["x-delivery-limit"] == 20
    assert arguments["x-overflow"] == "reject-publish"
    assert (arguments["x-dead-letter-exchange"], arguments["x-dead-letter-strategy"]) == ("stt.dlx", "at-least-once")


@pytest.mark.parametrize(("seconds", "name"), [*zip(names.RETRY_SECONDS, names.RETRY_QUEUES, strict=True)])
def test_retry_tiers_send_back_to_the_lane_that_the_request_came_from(seconds: int, name: str) -> None:
    """The default exchange, and no routing key of their own: the original one is the lane.

    One delay per queue.
    """
    queue = BY_NAME[name]
    assert queue.bound_to == name
    assert queue.arguments["x-message-ttl"] == seconds * 1000
    assert queue.arguments["x-dead-letter-exchange"] == ""
    assert "x-dead-letter-routing-key" not in queue.arguments
    assert (queue.arguments["x-overflow"], queue.arguments["x-dead-letter-strategy"]) == (
        "reject-publish",
        "at-least-once",
    )


def test_what_waits_for_people_is_bounded() -> None:
    """It may be weeks until a person reads them."""
    day = 24 * 3600 * 1000
    assert (BY_NAME[names.DEAD].arguments["x-message-ttl"], BY_NAME[names.DEAD].bound_to) == (14 * day, "stt.dlx")
    assert BY_NAME[names.DEAD].arguments["x-max-length-bytes"] == 1024**3
    assert BY_NAME[names.REPLIES].arguments["x-message-ttl"] == day
    assert BY_NAME[names.REPLIES_DEAD].arguments["x-message-ttl"] == 7 * day


def test_all_our_queues_but_the_reply_queue_are_forbidden_targets() -> None:
    """A reply to any of them would be consumed as a request or hide a dead letter."""
    assert PLAN.forbidden_reply_targets == set(BY_NAME) - {names.REPLIES}


def test_renamed_queues_keep_their_arguments_and_their_protection() -> None:
    """STTD_REQUEST_QUEUE and STTD_REPLY_QUEUE change names only."""
    plan = topology.build("notes", "answers")
    renamed = {queue.name: queue.arguments for queue in plan.queues}

    assert renamed["notes"] == renamed["notes.bulk"] == renamed["notes.overflow"] == BY_NAME[names.REQUESTS].arguments
    assert renamed["answers"] == BY_NAME[names.REPLIES].arguments
    assert {"notes", "notes.bulk"} <= plan.forbidden_reply_targets
    assert "answers" not in plan.forbidden_reply_targets


def test_a_dead_letter_exchange_comes_before_the_queue_that_needs_it() -> None:
    """At-least-once dead-lettering to an exchange without a queue keeps messages in their source."""
    order = [queue.name for queue in PLAN.queues]
    assert order.index(names.DEAD) < min(order.index(name) for name in WORK)
