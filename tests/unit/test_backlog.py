"""How long the oldest message of a queue can have waited: never too short, and no longer than the known facts allow."""

from sttd.consumer.side_port.backlog import Backlog


def test_an_empty_queue_has_no_oldest_message() -> None:
    """Nothing waits, whatever was delivered long ago."""
    backlog = Backlog(now=0)
    backlog.delivered(5)
    backlog.counted(0, now=100)

    assert backlog.age(now=1000) == 0


def test_what_waits_was_published_after_what_was_delivered_last() -> None:
    """Queues are first in, first out: the bound grows until something comes out."""
    backlog = Backlog(now=0)
    backlog.counted(7, now=10)
    backlog.delivered(40)

    assert backlog.age(now=60) == 20
    assert backlog.age(now=90) == 50


def test_what_waits_came_after_the_queue_was_seen_empty() -> None:
    """An hour without notes is no hour of waiting for the next one."""
    backlog = Backlog(now=0)
    backlog.delivered(1)
    backlog.counted(0, now=3600)
    backlog.counted(2, now=3605)

    assert backlog.age(now=3610) == 10


def test_a_message_that_comes_again_does_not_age_the_queue() -> None:
    """A retry carries the first publish's time; those behind it are younger."""
    backlog = Backlog(now=0)
    backlog.counted(1, now=1)
    backlog.delivered(100)
    backlog.delivered(20)

    assert backlog.age(now=130) == 30


def test_a_publisher_whose_clock_is_ahead_makes_no_negative_age() -> None:
    """A negative time would make a graph without meaning."""
    backlog = Backlog(now=0)
    backlog.counted(1, now=1)
    backlog.delivered(500)

    assert backlog.age(now=100) == 0


def test_of_what_was_there_before_it_a_daemon_knows_since_when_it_looks() -> None:
    """Right after the start, with nothing delivered yet, it reports only the time since the start."""
    backlog = Backlog(now=50)
    backlog.counted(3, now=51)

    assert backlog.age(now=60) == 10
