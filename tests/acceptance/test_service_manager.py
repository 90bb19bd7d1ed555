"""The real daemon under a service manager played by the test: ready, fed, stopping.

A stuck event loop feeds no watchdog.
"""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.slow("several lives of a daemon")

StartDaemon = Callable[..., DaemonProcess]
PERIOD = 0.6  # s of the watchdog


class Played:
    """systemd's end of the socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))

    def next(self, seconds: float = PATIENCE) -> str:
        """The next datagram. Raises `TimeoutError` if none comes in time."""
        self.socket.settimeout(seconds)
        return self.socket.recv(4096).decode()

    def until(self, word: str) -> list[str]:
        """Every datagram up to the one with this word."""
        found = [self.next()]
        while word not in found[-1]:
            found.append(self.next())
        return found


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Played]:
    """A service manager that listens."""
    played = Played(tmp_path / "notify")
    yield played
    played.socket.close()


def start(start_daemon: StartDaemon, systemd: Played, **settings: Any) -> DaemonProcess:
    """A daemon whose service manager this test is."""
    return start_daemon(NOTIFY_SOCKET=systemd.socket.getsockname(), WATCHDOG_USEC=str(int(PERIOD * 1e6)), **settings)


def test_ready_when_notes_are_served_then_fed_then_stopping(start_daemon: StartDaemon, systemd: Played) -> None:
    """`systemctl start` returns when the daemon serves, not when its process exists.

    `systemctl status` shows what it waits for.
    """
    daemon = start(start_daemon, systemd)
    before = systemd.until("READY=1")

    assert daemon.ready()
    assert any(words.startswith("STATUS=starting, ") for words in before)
    assert "STATUS=ok" in before[-1]
    for _ in range(3):
        systemd.until("WATCHDOG=1")
    daemon.running.send_signal(signal.SIGTERM)
    systemd.until("STOPPING=1")
    assert daemon.wait_exit() == 0


def test_a_stuck_daemon_starves_its_watchdog(start_daemon: StartDaemon, systemd: Played, tmp_path: Path) -> None:
    """Only the event loop feeds the watchdog: a stuck one is restarted by systemd, although other threads run."""
    (tmp_path / "sitecustomize.py").write_text(STUCK, encoding="utf-8")
    daemon = start(start_daemon, systemd, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    systemd.until("READY=1")
    daemon.running.send_signal(signal.SIGUSR1)

    systemd.until("STUCK")
    with pytest.raises(TimeoutError):
        systemd.next(2 * PERIOD)
    assert daemon.running.poll() is None
    daemon.kill()


STUCK = """
import os, signal, socket, time

def stick(*_):
    # In the main thread, as everything that blocks the event loop is.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.sendto(b"STUCK", os.environ["NOTIFY_SOCKET"])
    time.sleep(3600)

signal.signal(signal.SIGUSR1, stick)
"""
