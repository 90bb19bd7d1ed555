"""Whatever bytes stand in a message's properties, the daemon keeps its connection and brings the message to an end."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.profile import Profile
from tests.chaos.property_fuzz import FUZZ_EXCHANGE, FUZZ_REPLIES, Generator, Pipeline, Volley
from tests.chaos.results import Results
from tests.chaos.rig import OURS
from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.waiting import PATIENCE, wait_for
from tools.rabbitmq import Node

VOLLEY = 100  # messages per connection: the broker closes it at the first that it refuses
AHEAD = 4_000  # messages waiting for the daemon at which the publisher waits
ENDS = ("stt.dead", "stt.replies", "stt.replies.dead", FUZZ_REPLIES)


@pytest.fixture
def fuzzed(tmp_path: Path) -> Iterator[tuple[Broker, DaemonProcess]]:
    """A daemon with much in hand, and another user's fanout in front of its request queue.

    On a node that is not used afterwards: an `x-death` header that is no list of tables, on a message that then
    expires, crashes RabbitMQ 3.10's dead-lettering (`rabbit_fifo_dlx_sup`), and until it is restarted that broker
    refuses new quorum queues with INTERNAL_ERROR.
    """
    with Node() as node, Broker(node) as broker:
        daemon = DaemonProcess(broker.amqp_url, tmp_path / "daemon.log", slots="2", prefetch="200").start()
        try:
            daemon.wait_ready()
            broker.declare(FUZZ_REPLIES, x_queue_type="quorum")
            with broker.connect() as connection:
                channel = connection.channel()
                channel.exchange_declare(FUZZ_EXCHANGE, "fanout", durable=True)
                channel.queue_bind("stt.requests", FUZZ_EXCHANGE)
            yield broker, daemon
        finally:
            daemon.close()


def test_fuzzed_properties_never_cost_a_connection_and_every_message_ends(
    fuzzed: tuple[Broker, DaemonProcess], profile: Profile, results: Results
) -> None:
    """A microsecond timestamp once took a consumer's connection down for ever; no other property may."""
    broker, daemon = fuzzed
    sent = _fire_all(broker, profile)
    _wait_settled(broker)

    ended = sum(broker.depth(queue) for queue in ENDS)
    results.measured |= {
        "accepted": sent.confirmed, "perhaps accepted": sent.unknown, "ended": ended,
        "refusals by the broker": len(sent.refused),
        "dead letters": broker.depth("stt.dead"), "parked replies": broker.depth("stt.replies.dead"),
    }  # fmt: skip
    results.said.append(str(results.measured))
    assert daemon.stop() == 0
    lost = [line for line in daemon.lines("bus_lost") if line["role"] != "direct"]  # that one is there to be lost
    bugs = [line for line in daemon.log.splitlines() if "Traceback" in line or '"settle_failed"' in line]
    results.measured["connections lost"] = len(lost)
    assert not lost
    assert not bugs, bugs[0]
    assert broker.password not in daemon.log
    assert sent.confirmed <= ended <= sent.confirmed + sent.unknown


def _fire_all(broker: Broker, profile: Profile) -> Volley:
    generator = Generator(profile.seed)
    sent = Volley()
    while sent.confirmed < profile.properties:
        shots = [generator.draw() for _ in range(VOLLEY)]
        with Pipeline(broker.amqp_url) as pipeline:
            confirmed, words = pipeline.fire(shots)
        owed = [known for shot, known in zip(shots, confirmed, strict=True) if shot.is_request]
        sent.confirmed += sum(owed)
        sent.unknown += len(owed) - sum(owed)
        sent.refused += [words] if words else []
        wait_for(lambda: broker.depth("stt.requests") <= AHEAD, "progress of the daemon", 10 * PATIENCE)
    return sent


def _wait_settled(broker: Broker) -> None:
    """Wait for the end of all, as long as there is progress."""

    def unfinished() -> int:
        return sum(broker.depth(queue) + broker.queue(queue)["unacked"] for queue in OURS)

    left = unfinished()
    while left:
        left = _less(unfinished, left)


def _less(unfinished: Callable[[], int], before: int) -> int:
    """Wait for any change: a count that has not changed for so long will not."""
    wait_for(lambda: unfinished() != before, f"end of {before} messages", 3 * PATIENCE, poll=0.5)
    return unfinished()


def test_the_generator_draws_the_same_messages_from_the_same_seed() -> None:
    """A seed in a report repeats the run."""
    seed = random.SystemRandom().randrange(10**6)

    one, other = Generator(seed), Generator(seed)

    assert [one.draw() for _ in range(200)] == [other.draw() for _ in range(200)]
