"""The faults of the broker, the network and the daemon's process: each begins, lasts and ends.

What must hold after a fault is checked by the tests.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.rig import Rig

QUICK = 10.0  # s: longest time until the consumer is back once the broker is reachable; printed, not asserted (rig.py)
SILENT = 45.0  # s: the same when packets are lost without a word, counted from their loss
HEARTBEATS = 38.0  # s without a byte after which both sides have given the connection up


def _nothing(_rig: Rig) -> None:
    """This fault ends by itself."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    `hold`: how long it lasts, in seconds, drawn between the two. `promised`: how soon after its end the consumer is
    back. `long_form`: one like it is in the short form already.
    """

    kind: str
    begin: Callable[[Rig], object]
    end: Callable[[Rig], object] = _nothing
    hold: tuple[float, float] = (0.0, 0.0)
    promised: float = QUICK
    long_form: bool = False

    def inflict(self, rig: Rig) -> None:
        """Let it begin, last and end, and wait for the service."""
        with rig.fault(self.kind, self.promised, silent=self.promised == SILENT):
            self.begin(rig)
            rig.pause(*self.hold)
            self.end(rig)


def send(number: signal.Signals) -> Callable[[Rig], None]:
    """Make a step that sends the present daemon a signal."""
    return lambda rig: os.kill(rig.daemon.running.pid, number)


def _ctl(*words: str) -> Callable[[Rig], object]:
    return lambda rig: rig.node.rabbitmqctl(*words)


def _close_connections(rig: Rig) -> None:
    """The management API shows a connection a moment late; the daemon has two."""
    rig.wait_until(
        lambda: sum("sttd " in str(found.get("client_properties")) for found in rig.broker.connections()) >= 2,
        "sight of the daemon's two connections",
    )
    rig.broker.close_connections()


def _password(rig: Rig, password: str) -> None:
    rig.broker.management.call("PUT", f"users/{rig.broker.user}", {"password": password, "tags": ""})


def _rotate(rig: Rig) -> None:
    """Another password, and all connections closed: none may come back until the old one is there again."""
    _password(rig, "another one")
    _close_connections(rig)


QUICK_FAULTS = (
    Fault("broker SIGKILL and restart", lambda rig: rig.node.kill(), lambda rig: rig.node.start(), (0.0, 1.0)),
    Fault("broker stop_app, start_app", _ctl("stop_app"), _ctl("start_app"), (0.0, 1.0)),
    Fault("all connections closed by the broker", _close_connections),
    Fault("password changed and changed back", _rotate, lambda rig: _password(rig, rig.broker.password), (1.0, 5.0)),
    Fault("connections reset (RST)", lambda rig: rig.proxy.cut()),
    Fault("network stalled for 3 to 8 s", lambda rig: rig.proxy.stall(), lambda rig: rig.proxy.resume(), (3.0, 8.0)),
    Fault(
        "slow network: 20 ms per 1,000 bytes",
        lambda rig: rig.proxy.shape(delay=0.02, size=1000),
        lambda rig: rig.proxy.shape(),
        (6, 9),
    ),
    Fault(
        "broker stopped (SIGSTOP) for 3 to 8 s", lambda rig: rig.node.freeze(), lambda rig: rig.node.thaw(), (3.0, 8.0)
    ),
    Fault("daemon stopped (SIGSTOP) for 3 to 8 s", send(signal.SIGSTOP), send(signal.SIGCONT), (3.0, 8.0)),
    Fault(
        "memory alarm",
        _ctl("set_vm_memory_high_watermark", "0.00001"),
        _ctl("set_vm_memory_high_watermark", "0.4"),
        (2.0, 13.0),
    ),
    Fault("disk alarm", _ctl("set_disk_free_limit", "900000GB"), _ctl("set_disk_free_limit", "50MB"), (2.0, 13.0)),
)
SLOW_FAULTS = (
    Fault("packets silently lost", lambda rig: rig.proxy.swallow(), promised=SILENT),
    Fault(
        "network stalled beyond the heartbeats",
        lambda rig: rig.proxy.stall(),
        lambda rig: rig.proxy.resume(),
        (HEARTBEATS, 42),
        long_form=True,
    ),
    Fault(
        "broker stopped beyond the heartbeats",
        lambda rig: rig.node.freeze(),
        lambda rig: rig.node.thaw(),
        (HEARTBEATS, 42),
    ),
    Fault(
        "daemon stopped beyond the heartbeats",
        send(signal.SIGSTOP),
        send(signal.SIGCONT),
        (HEARTBEATS, 42),
        long_form=True,
    ),
)
