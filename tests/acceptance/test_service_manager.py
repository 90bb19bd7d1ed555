"""The real daemon under a service manager that this test plays: ready, fed, stopping; and starved when its event loop is stuck."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess

StartDaemon = Callable[..., DaemonProcess]
PERIOD = 0.6  # s of the watchdog


class Played:
    """systemd's end of the socket."""

    def __init__(self, path: Path) -> None:
        """Listen."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))

    def next(self, seconds: float) -> str | None:
        """The next datagram; None if none comes in time."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096).decode()
        except TimeoutError:
            return None

    def until(self, word: str, seconds: float) -> list[str]:
        """Every datagram up to the one with this word; fails if it does not come in time."""
        end, found = time.monotonic() + seconds, list[str]()
        while not found or word not in found[-1]:
            left = end - time.monotonic()
            told = self.next(left) if left > 0 else None
            assert told is not None, f"no {word} within {seconds} s: {found[-5:]}"
            found.append(told)
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
    """`systemctl start` comes back when the daemon serves, not when its process exists; `systemctl status` says what it waits for."""
    daemon = start(start_daemon, systemd)
    before = systemd.until("READY=1", 30)

    assert daemon.ready()
    assert any(words.startswith("STATUS=starting, ") for words in before)
    assert "STATUS=ok" in before[-1]
    began = time.monotonic()
    for _ in range(3):
        systemd.until("WATCHDOG=1", PERIOD)
    assert time.monotonic() - began < 2 * PERIOD
    daemon.running.send_signal(signal.SIGTERM)
    systemd.until("STOPPING=1", 10)
    assert daemon.wait_exit(20) == 0


def test_a_stuck_daemon_starves_its_watchdog(start_daemon: StartDaemon, systemd: Played, tmp_path: Path) -> None:
    """Only the event loop feeds: one that stands still is restarted by systemd, while the process and its other threads live on."""
    (tmp_path / "sitecustomize.py").write_text(STUCK, encoding="utf-8")
    daemon = start(start_daemon, systemd, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    systemd.until("READY=1", 30)
    daemon.running.send_signal(signal.SIGUSR1)

    deadline = time.monotonic() + 5
    while systemd.next(2 * PERIOD) is not None:
        assert time.monotonic() < deadline, "a stuck event loop still feeds the watchdog"
    assert daemon.running.poll() is None
    daemon.kill()


STUCK = """
import signal, time

# Runs in the main thread, as everything that blocks the event loop does.
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(60))
"""
