"""Reports the daemon's state to systemd: ready, stopping, alive. Silent where no service manager listens.

The protocol is one datagram per message to the socket in NOTIFY_SOCKET, which is the service manager's and no setting
of ours; never waits for an answer and never fails the daemon.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Final

import structlog

FEEDS_PER_PERIOD: Final = 3
"""Watchdog messages per period: two may be lost or late before it counts."""

log = structlog.get_logger(__name__)


class ServiceManager:
    """The daemon's side of sd_notify(3). Safe to call from any thread."""

    def __init__(self, address: str | None, watchdog_seconds: float | None) -> None:
        """`address`: the socket, with @ for an abstract one; `watchdog_seconds`: the longest silence, None for any."""
        self._address = address.replace("@", "\0", 1) if address and address.startswith("@") else address
        self._watchdog_seconds = watchdog_seconds
        self._said_ready = False
        self._said_stopping = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ServiceManager":
        """From systemd's environment. A watchdog that is meant for another process is not fed."""
        period, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        ours = period.isdecimal() and int(period) > 0 and pid in {"", str(os.getpid())}
        return cls(environment.get("NOTIFY_SOCKET"), int(period) / 1e6 if ours else None)

    def health(self, ready: bool, status: str) -> None:
        """Pass on one line for `systemctl status`; when notes are first served, report that the start is over."""
        first = ready and not self._said_ready and not self._said_stopping
        self._said_ready = self._said_ready or first
        self._tell(f"READY=1\nSTATUS={status}" if first else f"STATUS={status}")

    def stopping(self) -> None:
        """Report that the intake has ended and the drain begins."""
        self._said_stopping = True
        self._tell("STOPPING=1\nSTATUS=draining")

    async def feed(self) -> None:
        """Feed the watchdog from the event loop until cancelled: a loop that is stuck feeds nothing."""
        if self._address is None or self._watchdog_seconds is None:
            await asyncio.Event().wait()
        else:
            while True:
                self._tell("WATCHDOG=1")
                await asyncio.sleep(self._watchdog_seconds / FEEDS_PER_PERIOD)

    def _tell(self, words: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ours:
                ours.sendto(words.encode(), self._address)
        except OSError as error:
            log.warning("the service manager does not listen", action="notify_failed", reason=str(error))
