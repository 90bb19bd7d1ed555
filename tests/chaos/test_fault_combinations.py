"""Faults at the worst moments: at each named point of a request, two at a time, one daemon paused beside another."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.faults import HEARTBEATS, QUICK, QUICK_FAULTS, Fault, send
from tests.chaos.profile import Profile
from tests.chaos.rig import Rig
from tests.support.failpoints import POINTS


def _term_and_restart(rig: Rig) -> None:
    send(signal.SIGCONT)(rig)
    assert rig.daemon.wait_exit() == 0, rig.daemon.log[-2000:]
    rig.start()


SIGTERM = Fault("daemon SIGTERM", send(signal.SIGTERM), _term_and_restart, promised=2 * QUICK)
AT_POINTS = (*(fault for fault in QUICK_FAULTS if not fault.kind.startswith("daemon")), SIGTERM)


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_each_fault_at_each_named_point(rig: Rig, profile: Profile) -> None:
    """The daemon stands still exactly there, a fault begins, and the daemon goes on before or after its end.

    The short form draws one.
    """
    rig.load.flow.set()
    for point in POINTS:
        for fault in AT_POINTS * profile.matrix or (rig.dice.choice(AT_POINTS),):
            rig.daemon.stop()
            rig.start(failpoint=f"{point}:{rig.dice.randint(1, 4)}:stop")
            rig.wait_until(lambda: _stopped(rig.daemon.running.pid), f"request at {point}")
            with rig.fault(f"{fault.kind} @ {point}", fault.promised):
                fault.begin(rig)
                if rig.dice.random() < 0.5:
                    send(signal.SIGCONT)(rig)
                rig.pause(0.2, 2.0)
                fault.end(rig)
                send(signal.SIGCONT)(rig)
    rig.settle()


def test_two_faults_at_a_time(rig: Rig, profile: Profile) -> None:
    """A stall in an alarm, a broker's crash in a stall: what waits for one fault's end must survive the other."""
    outer = [
        fault for fault in QUICK_FAULTS if not fault.kind.startswith("broker")
    ]  # a broker that is down takes no orders
    rig.load.flow.set()
    for _ in range(2 * profile.faults):
        one = rig.dice.choice(outer)
        other = rig.dice.choice([fault for fault in QUICK_FAULTS if fault is not one])
        rig.pause(0.5, 2.0)
        with rig.fault(f"{other.kind} + {one.kind}", QUICK):
            one.begin(rig)
            rig.pause(0.0, 3.0)
            other.begin(rig)
            rig.pause(0.0, 3.0)
            other.end(rig)
            rig.pause(0.0, 1.0)
            one.end(rig)
    rig.settle()


def test_a_paused_daemon_beside_a_running_one_never_answers_differently(rig: Rig, profile: Profile) -> None:
    """It wakes up with results for requests that the other has answered since: same id, same text, stale ack."""
    if not profile.slow_faults:
        pytest.skip("in the long form only: make chaos SLOW=1")
    rig.load.flow.set()
    first = rig.daemon
    second = rig.start()
    for _ in range(profile.slow_faults):
        second.wait_ready()
        rig.wait_until(lambda: first.metric("sttd_requests_in_flight") >= 1, "work in hand")
        os.kill(first.running.pid, signal.SIGSTOP)
        with rig.fault("one of two daemons stopped beyond the heartbeats", QUICK):
            time.sleep(rig.dice.uniform(HEARTBEATS, HEARTBEATS + 4))
            os.kill(first.running.pid, signal.SIGCONT)
            first.wait_ready()
    rig.settle()
