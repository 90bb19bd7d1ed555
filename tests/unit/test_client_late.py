"""How long a call waits unless told, and how the reasons for a missing answer are put."""

import logging

import aio_pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sttd import Client, errors, late
from sttd.errands import QueueState

NOWHERE = "amqp://guest:guest@127.0.0.1:1/"


def test_half_an_hour_of_voice_gets_more_time_than_a_short_note() -> None:
    """A note of 30 minutes took 267 s of the 300 s that each note once had."""
    short, half_hour = late.patience(30_000), late.patience(30 * 60 * 2000)  # a messenger's 16 kbit/s
    assert short < 310
    assert half_hour > 2 * 267


@given(st.integers(0, 512 * 1024 * 1024))
def test_no_size_gets_less_than_the_least_or_more_than_the_most(size: int) -> None:
    """An object whose size the client cannot know gets the most."""
    assert late.LEAST_SECONDS <= late.patience(size) <= late.MOST_SECONDS == late.patience(None)


@pytest.mark.parametrize(
    ("state", "said", "step"),
    [
        (QueueState(waiting=40, consumers=0), "no daemon serves q, 40 requests wait", "sttd serve"),
        (QueueState(waiting=40, consumers=1), "40 requests wait in q and 1 daemon serves", "more daemons"),
        (QueueState(waiting=1, consumers=3), "3 daemons serve", "longer timeout"),
        (QueueState(waiting=0, consumers=1), "at work, or waits in q.overflow", "longer timeout"),
        (QueueState(waiting=0, consumers=1), "or is tried again after a failure", "longer timeout"),
    ],
)
def test_the_queue_tells_the_reason_and_the_reason_its_step(state: QueueState, said: str, step: str) -> None:
    """No daemon, a long queue and a slow note ask for three different things."""
    reason = late._of_queue(state, "q")
    assert said in reason
    assert step in reason


def test_a_bulk_note_never_waits_in_overflow() -> None:
    """Only interactive notes move: nobody is to look into a queue that is not there."""
    assert "overflow" not in late._of_queue(QueueState(waiting=0, consumers=1), "q.bulk")


async def test_aiormq_is_silent_about_this_client_and_about_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """The client raises what aiormq would log; a bot's own connections keep their log."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "aiormq")  # a daemon's start within this process has set it higher
    with pytest.raises(errors.BrokerUnavailable):
        await Client(NOWHERE).open()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    with pytest.raises(ConnectionError):
        await aio_pika.connect(NOWHERE)
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == ["aiormq.connection"]
