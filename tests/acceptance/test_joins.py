"""The same audio once, with a real broker and a real engine: the books of equal requests balance (issue 18)."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.ledger import Expected, Ledger
from tests.support.load import REPLIES, Reader
from tests.support.notes import GROCERIES, note
from tests.support.waiting import wait_for

EQUAL = 6


@pytest.mark.slow("two lives of a daemon")
def test_equal_requests_whose_leader_is_killed_are_answered_once_each(
    start_daemon: Any, broker: Broker, tmp_path: Path
) -> None:
    """Killed with the text ready and nothing published: the next life computes it once more, for all of them."""
    first: DaemonProcess = start_daemon(join="own", prefetch=str(EQUAL), failpoint="transcribed")
    first.wait_ready()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    reader = Reader(lambda: broker.amqp_url, ledger)
    reader.start()
    try:
        audio = note(text=GROCERIES).path.read_bytes()
        broker.declare(REPLIES, x_queue_type="quorum")
        with ledger.fault("daemon SIGKILL", crash=True):
            for number in range(EQUAL):
                name = f"equal-{number}"
                ledger.ask(name, "", Expected("text", GROCERIES))
                broker.publish("stt.requests", audio, correlation_id=name, message_id=name, reply_to=REPLIES)
                ledger.confirm(name)
            assert first.wait_exit() == -signal.SIGKILL
            second: DaemonProcess = start_daemon(join="own", prefetch=str(EQUAL)).wait_ready()
        wait_for(lambda: not ledger.outstanding(), "answers")
    finally:
        reader.stop()
    balance = ledger.check(queued=())
    assert (balance.replied, balance.duplicates, balance.dead) == (EQUAL, 0, 0)
    assert balance.joined >= 1
    wait_for(lambda: second.metric("sttd_requests_joined_total") == balance.joined, "the same count in the metrics")


def test_strangers_do_not_share(start_daemon: Any, broker: Broker) -> None:
    """Two reply queues, no caller: neither can tell that the other has sent the same."""
    daemon: DaemonProcess = start_daemon(join="own", slots="1").wait_ready()
    audio = note(text=GROCERIES).path.read_bytes()
    for queue in ("one", "two"):
        broker.declare(queue)
    for number in range(4):
        broker.publish("stt.requests", audio, correlation_id=str(number), reply_to=("one", "two")[number % 2])
    joined = dict.fromkeys(("one", "two"), 0)
    wait_for(lambda: broker.depth("one") == broker.depth("two") == 2, "two answers each")
    for queue in joined:
        joined[queue] = sum(json.loads(answer.body)["joined"] for answer in broker.take(queue, 2))
    assert max(joined.values()) <= 1
    wait_for(
        lambda: daemon.metric("sttd_requests_joined_total") == sum(joined.values()), "the same count in the metrics"
    )
