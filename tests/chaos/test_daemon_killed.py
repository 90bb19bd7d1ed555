"""The daemon's own ends: SIGKILL at any time, SIGKILL at each named point of a request's way, SIGTERM under load."""

import signal
import time

from tests.chaos.profile import Profile
from tests.chaos.rig import Rig
from tests.support.failpoints import POINTS
from tests.support.load import Requests

FLOOD = 24
BACK = 20.0  # s, the longest from the start of a new process to its registered consumer; the model is loaded in between


def _progress(rig: Rig, count: int) -> None:
    """Wait for some answers: lives without any would make suspects of all that is in hand."""
    wanted = rig.ledger.answers() + count
    rig.wait_until(lambda: rig.ledger.answers() >= wanted, "progress")


def _flood(rig: Rig, requests: Requests) -> None:
    """More of one caller than its share of the hand: some move to the overflow queue, and equal ones join."""
    for _ in range(FLOOD):
        rig.load.add(requests.of_a_caller())


def test_sigkill_at_random_times_loses_nothing(rig: Rig, profile: Profile) -> None:
    """At the start, in the middle of a note or a move, between reply and ack: the next life answers what was in hand.

    Among them notes on the way to the overflow queue, and equal ones that share a computation.
    """
    requests = Requests("flood", profile.seed)  # its own: the load draws from the rig's in its thread
    rig.load.flow.set()
    for _ in range(profile.kills):
        if rig.dice.random() < 0.2:
            _flood(rig, requests)
        if rig.dice.random() < 0.75:
            rig.wait_consumer()
            _progress(rig, rig.dice.randint(0, 3))
            rig.pause(0.0, 2.0)
        else:
            rig.pause(0.0, 2.5)  # while it starts
        with rig.ledger.fault("daemon SIGKILL", crash=True):
            rig.daemon.kill()
            rig.start()
            rig.results.add("daemon SIGKILL", None)
    rig.wait_consumer()
    _flood(rig, requests)
    rig.wait_until(lambda: rig.load.idle, "the flood")
    balance = rig.settle()
    assert (balance.joined > 0, rig.results.measured["moved to overflow"] > 0) == (True, True)


def test_sigkill_at_a_named_point_loses_nothing(rig: Rig, profile: Profile) -> None:
    """Each step of a request's way may be the last: before it all is done again, after it at worst answered twice."""
    rig.load.flow.set()
    for point in POINTS * profile.points:
        rig.daemon.stop()
        rig.start(failpoint=f"{point}:{rig.dice.randint(1, 6)}")
        with rig.fault(f"daemon SIGKILL at {point}", BACK, crash=True):
            assert rig.daemon.wait_exit() == -signal.SIGKILL
            rig.start()
        _progress(rig, 2)
    rig.settle()


def test_sigterm_while_the_broker_stands_still_ends_in_time(rig: Rig, profile: Profile) -> None:
    """No confirm and no close-ok will come: the exit waits for neither, and what was in hand is answered later.

    The broker stands still until the daemon has ended; how long that took is a figure of the run.
    """
    rig.load.flow.set()
    longest = 0.0
    for _ in range(profile.faults):
        rig.wait_consumer()
        rig.pause(0.0, 1.5)
        with rig.fault("daemon SIGTERM while the broker is stopped", BACK, crash=True):
            rig.node.freeze()
            began = time.monotonic()
            assert rig.daemon.stop() == 0, rig.daemon.log[-2000:]
            longest = max(longest, time.monotonic() - began)
            rig.node.thaw()
            rig.start()
    rig.results.measured["longest exit"] = round(longest, 2)
    rig.settle()


def test_sigterm_under_load_answers_or_hands_back_and_exits_with_zero(rig: Rig, profile: Profile) -> None:
    """Nothing is lost, nothing dead-lettered, and the exit code shows it.

    The longest exit is a figure of the run.
    """
    longest = 0.0
    rig.load.flow.set()
    for _ in range(profile.terms):
        rig.wait_consumer()
        rig.pause(0.0, 1.5)
        with rig.fault("daemon SIGTERM", BACK):
            began = time.monotonic()
            code = rig.daemon.stop()
            longest = max(longest, time.monotonic() - began)
            assert code == 0, rig.daemon.log[-2000:]
            rig.start()
    rig.results.measured["longest exit"] = round(longest, 2)
    assert not rig.settle().duplicates
