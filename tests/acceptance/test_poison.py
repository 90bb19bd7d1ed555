"""A request that kills its worker costs no other request its answer, ends after a few tries, and is answered."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note, spoken
from tests.support.waiting import PATIENCE

StartDaemon = Callable[..., DaemonProcess]


@contextmanager
def supervised(start: Callable[[], DaemonProcess]) -> Iterator[list[DaemonProcess]]:
    """Start the daemon again each time it dies, as compose, systemd and Kubernetes do."""
    lives = [start()]
    over = threading.Event()

    def restart() -> None:
        while not over.is_set():
            lives[-1].running.wait()
            if not over.is_set():
                lives.append(start())

    supervisor = threading.Thread(target=restart, name="supervisor")
    supervisor.start()
    try:
        yield lives
    finally:
        over.set()
        lives[-1].close()
        supervisor.join(PATIENCE)


@pytest.mark.slow("a daemon that is killed again and again")
@pytest.mark.parametrize("prefetch", ["1", "8"])
async def test_poison_among_good_notes_is_told_and_costs_no_neighbour(
    start_daemon: StartDaemon, broker: Broker, prefetch: str
) -> None:
    """Three transcripts, one `poison` reply, one dead letter, whatever the prefetch."""
    audio = note(text=GROCERIES).path.read_bytes()
    for number in range(4):
        broker_id = "poison" if number == 1 else f"good-{number}"
        if number == 0:
            broker.declare("stt.requests", **_work_queue())
        broker.publish("stt.requests", audio, message_id=broker_id, correlation_id=broker_id, delivery_mode=2)

    with supervised(lambda: start_daemon(prefetch=prefetch, failpoint="decoded@poison")) as lives:
        await wait_until(lambda: broker.depth("stt.replies") == 4, 3 * PATIENCE)
        await wait_until(lambda: broker.depth("stt.dead") == 1)  # it follows its answer: not when the daemon ends first
        deaths = len(lives) - 1

    replies = {message.properties.correlation_id: message.json() for message in broker.take("stt.replies", 4)}
    assert {name for name, reply in replies.items() if reply["status"] == "completed"} == {"good-0", "good-2", "good-3"}
    assert all(spoken(reply["text"]) == spoken(GROCERIES) for name, reply in replies.items() if name != "poison")
    assert replies["poison"]["error"]["code"] == "poison"
    assert replies["poison"]["error"]["retryable"] is False
    [dead] = broker.take("stt.dead", 5)
    assert (dead.properties.message_id, dead.headers["sttd-reason"]) == ("poison", "poison")
    assert dead.body == audio
    assert deaths == 5  # twice among others, three times alone


def _work_queue() -> dict[str, object]:
    """The arguments that the daemon declares its request queue with."""
    from sttd.consumer.bus.topology import build  # noqa: PLC0415 - only this helper reads the daemon's own table

    return {name.replace("-", "_"): value for name, value in build().queues[1].arguments.items()}


async def test_a_cancelled_request_is_answered_as_cancelled(start_daemon: StartDaemon, broker: Broker) -> None:
    """A cancel over stt.control stops work in hand between two windows, and work still queued before it begins."""
    long_note = max(
        (path for path in note(text=GROCERIES).path.parent.glob("*.ogg")), key=lambda path: path.stat().st_size
    )
    daemon = start_daemon(slots="1", prefetch="1").wait_ready()
    for name in ("in-hand", "queued"):
        broker.publish("stt.requests", long_note.read_bytes(), message_id=name, correlation_id=name)
    await wait_until(lambda: daemon.metric("sttd_requests_in_flight") == 1)

    with broker.connect() as connection:
        for name in ("queued", "in-hand"):
            connection.channel().basic_publish("stt.control", "", b'{"cancel": "%s"}' % name.encode())

    await wait_until(lambda: broker.depth("stt.replies") == 2)
    codes = {
        message.properties.correlation_id: message.json()["error"]["code"] for message in broker.take("stt.replies", 2)
    }
    assert codes == {"in-hand": "cancelled", "queued": "cancelled"}
    assert broker.depth("stt.dead") == 0
