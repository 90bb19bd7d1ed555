"""The same audio once, with a real broker and a real engine: the books of equal requests balance (issue 18)."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.ledger import Balance, Expected, Ledger
from tests.support.load import NOWHERE, REPLIES, Reader, Requests
from tests.support.notes import GROCERIES, note
from tests.support.waiting import wait_for

EQUAL = 6
FOLLOWERS = 3


class Shared:
    """One daemon that gets requests with the same long audio all at once, and the books of what it answers."""

    def __init__(self, broker: Broker, daemon: DaemonProcess, ledger: Ledger, held: Path) -> None:
        """The ledger's reader is at work. `held`: the daemon's engine waits as long as this file exists."""
        self.broker = broker
        self._held = held
        self.daemon = daemon
        self.ledger = ledger
        self._like = Requests("long", seed=1).long()
        self._test = uuid4().hex[:6]

    def named(self, name: str) -> str:
        """The id of a request of this test: the daemon remembers for an hour what was cancelled."""
        return f"{self._test}-{name}"

    def ask(self, name: str, expected: Expected | None = None, *, parkable: bool = False, **properties: Any) -> None:
        """Publish one request of a caller, confirmed. `expected`: its text, if nothing else."""
        name = self.named(name)
        self.ledger.ask(name, "", replace(expected or self._like.expected, parkable=parkable))
        headers = {**self._like.properties["headers"], "stt-caller": "one", **properties.pop("headers", {})}
        named = {"correlation_id": name, "message_id": name, "reply_to": REPLIES, "delivery_mode": 2}
        self.broker.publish("stt.requests", self._like.body, **named | properties, headers=headers)
        self.ledger.confirm(name)

    @contextmanager
    def at_once(self, count: int) -> Iterator[None]:
        """What is asked in the block comes into hand in one moment, in this order: the first begins the work.

        It does not end before `balance`.
        """
        self._held.touch()
        self.daemon.running.send_signal(signal.SIGSTOP)
        yield
        wait_for(lambda: self.broker.depth("stt.requests") == 0, "delivery")
        self.daemon.running.send_signal(signal.SIGCONT)
        wait_for(lambda: self.daemon.metric("sttd_requests_in_flight") == count, "all in hand")

    def balance(self, *, early: int = 0) -> Balance:
        """The books when all is answered. `early`: how many are answered before the work goes on."""
        wait_for(lambda: self.ledger.answers() >= early, "the early answers")
        self._held.unlink()
        wait_for(lambda: not self.ledger.outstanding(), "answers")
        return self.ledger.check(queued=())


@pytest.fixture(scope="module")
def joining(shared_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DaemonProcess, Path]]:
    """One daemon for the tests of one moment, and the file that holds its engine up: a start costs seconds."""
    folder = tmp_path_factory.mktemp("joins")
    held = folder / "held"
    settings = {"join": "own", "prefetch": str(EQUAL), "slots": "1", "held": str(held)}
    daemon = DaemonProcess(shared_broker.amqp_url, folder / "daemon.log", **settings).start()
    try:
        yield daemon.wait_ready(), held
    finally:
        daemon.close()


@pytest.fixture
def shared(shared_broker: Broker, joining: tuple[DaemonProcess, Path], tmp_path: Path) -> Iterator[Shared]:
    """That daemon, and books of the test's own."""
    shared_broker.declare(REPLIES, x_queue_type="quorum")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    reader = Reader(lambda: shared_broker.amqp_url, ledger)
    reader.start()
    try:
        daemon, held = joining
        yield Shared(shared_broker, daemon, ledger, held)
    finally:
        reader.stop()


def test_a_cancelled_leader_costs_the_others_nothing(shared: Shared) -> None:
    """It is told so at once; the work that it began goes on for those who wait for it."""
    with shared.at_once(1 + FOLLOWERS):
        shared.ask("leader", Expected("cancelled"))
        for number in range(FOLLOWERS):
            shared.ask(f"follower-{number}")
    with shared.broker.connect() as connection:
        connection.channel().basic_publish("stt.control", "", json.dumps({"cancel": shared.named("leader")}).encode())
    balance = shared.balance(early=1)
    assert (balance.replied, balance.joined, balance.duplicates, balance.dead) == (1 + FOLLOWERS, FOLLOWERS, 0, 0)


def test_a_leader_whose_answer_nobody_takes_costs_the_others_nothing(shared: Shared) -> None:
    """Its answer is parked, theirs arrive."""
    with shared.at_once(1 + FOLLOWERS):
        shared.ask("leader", parkable=True, reply_to=NOWHERE)
        for number in range(FOLLOWERS):
            shared.ask(f"follower-{number}")
    balance = shared.balance()
    assert (balance.replied, balance.joined, balance.parked, balance.dead) == (1 + FOLLOWERS, FOLLOWERS, 1, 0)


def test_a_follower_that_expires_is_told_so_and_the_work_goes_on(shared: Shared) -> None:
    """Its expiration passes while it waits for the work of another."""
    with shared.at_once(3):
        shared.ask("leader")
        shared.ask("late", Expected("expired"), expiration="1000")
        shared.ask("follower")
    balance = shared.balance(early=1)
    assert (balance.replied, balance.joined, balance.duplicates, balance.dead) == (3, 1, 0, 0)


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
