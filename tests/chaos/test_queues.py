"""Queues that are full, deleted or declared anew under the daemon's hands cost time, never an answer."""

import secrets

import pika.exceptions

from tests.chaos.faults import QUICK
from tests.chaos.profile import Profile
from tests.chaos.rig import Rig

AT_ONCE = 4  # requests for a reply queue that has room for one


def test_a_full_reply_queue_delays_answers_and_loses_none(rig: Rig, profile: Profile) -> None:
    """Replies that the broker nacks are published again until their caller reads."""
    rig.load.flow.set()
    for number in range(profile.faults):
        name = rig.broker.declare(f"chaos.full.{number}", x_max_length=1, x_overflow="reject-publish")
        with rig.fault("reply queue full", QUICK):
            for _ in range(AT_ONCE):
                rig.load.add(rig.requests.plain(reply_to=name))
            rig.wait_until(lambda: bool(rig.daemon.lines("publish_again")), "nacked reply")
            rig.pause(0.0, 4.0)
            rig.reader.queues.append(name)
            rig.reader.again()
    rig.settle()


def test_a_deleted_reply_queue_parks_the_answers(rig: Rig, profile: Profile) -> None:
    """A caller that deletes its queue while requests wait: the answers are in `stt.replies.dead`."""
    rig.load.flow.set()
    for number in range(profile.faults):
        name = rig.broker.declare(f"chaos.doomed.{number}")
        with rig.fault("reply queue deleted", QUICK):
            for _ in range(AT_ONCE):
                rig.load.add(rig.requests.plain(reply_to=name, parkable=True))
            rig.wait_until(lambda: rig.load.idle, "publishing")
            _delete_when_empty(rig, name)
    assert rig.settle().parked


def _delete_when_empty(rig: Rig, name: str) -> None:
    """What came before the deletion was delivered: it goes into the books."""
    with rig.broker.connect() as connection:
        while True:
            try:
                connection.channel().queue_delete(name, if_empty=True)
            except pika.exceptions.ChannelClosedByBroker:
                for message in rig.broker.take(name, 100):
                    rig.reader.record(name, message.body, message.properties, redelivered=False)
            else:
                return


def test_a_deleted_request_queue_is_declared_again_and_served(rig: Rig, profile: Profile) -> None:
    """The broker cancels the consumer while the connection looks healthy.

    What was in the queue is lost by its deletion.
    """
    rig.load.flow.set()
    for _ in range(profile.faults):
        rig.pause(0.5, 2.0)
        rig.load.flow.clear()
        rig.wait_quiet()
        with rig.fault("request queue deleted, consumer cancelled", QUICK), rig.broker.connect() as connection:
            connection.channel().queue_delete("stt.requests")
        rig.load.flow.set()
        rig.wait_answers(2)
    rig.settle()


def test_all_queues_deleted_at_once_are_made_again(rig: Rig) -> None:
    """After a vhost is cleared its daemons need no restart."""
    rig.load.flow.set()
    rig.pause(0.5, 2.0)
    rig.load.flow.clear()
    rig.wait_quiet()
    with rig.fault("all queues deleted", QUICK), rig.broker.connect() as connection:
        for queue in rig.broker.queues():
            if queue["name"].startswith("stt.") and not queue["exclusive"]:
                connection.channel().queue_delete(queue["name"])
    rig.reader.again()
    rig.load.flow.set()
    rig.load.add(rig.requests.plain(reply_to=f"chaos.{secrets.token_hex(2)}", parkable=True))
    rig.wait_answers(2)
    rig.settle()
