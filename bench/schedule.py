"""How long the daemons' threads worked and stood in line for a core, by the kernel's own count (schedstat). Linux only.

Imports tests.support.daemon; knows nothing of notes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.daemon import DaemonProcess, children

SECOND: Final = 1.0
NANO: Final = 1e9


@dataclass(frozen=True, slots=True)
class Used:
    """What threads have used: nanoseconds on a core and in line for one, by thread."""

    threads: dict[str, tuple[int, int]]

    @classmethod
    def by(cls, daemons: Sequence[DaemonProcess]) -> Used:
        """All threads of the daemons and their decoder children."""
        pids = [pid for daemon in daemons for pid in (daemon.running.pid, *children(daemon.running.pid))]
        return cls({str(task): _schedstat(task) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()})

    def engines(self, daemons: Sequence[DaemonProcess]) -> Used:
        """Without decoder children, and without the event loop in each daemon's first thread."""
        folders = {f"/proc/{daemon.running.pid}/task" for daemon in daemons}
        loops = {f"/proc/{daemon.running.pid}/task/{daemon.running.pid}" for daemon in daemons}
        return Used({name: used for name, used in self.threads.items() if name not in loops and name.rpartition("/")[0] in folders})

    def since(self, before: Used) -> tuple[float, float]:
        """Core seconds and seconds in line."""
        pairs = [(now, before.threads.get(name, (0, 0))) for name, now in self.threads.items()]
        return sum(now[0] - then[0] for now, then in pairs) / NANO, sum(now[1] - then[1] for now, then in pairs) / NANO


def _schedstat(task: Path) -> tuple[int, int]:
    try:
        ran, waited, _ = (task / "schedstat").read_text().split()
    except OSError:  # the thread has just ended
        return 0, 0
    return int(ran), int(waited)


class Slowness:
    """How many times longer the daemons' work takes than on cores of their own, second by second."""

    def __init__(self) -> None:
        """Nothing known."""
        self._seconds: list[tuple[float, float]] = []

    def __call__(self, at: float) -> float:
        """Around that second; before the first measurement, the mean."""
        near = self._seconds[max(0, int(at) - 1) : int(at) + 3] or self._seconds
        ran = sum(second[0] for second in near)
        return (ran + sum(second[1] for second in near)) / ran if ran > 0.05 else self.overall  # noqa: PLR2004 - less is no measurement

    @property
    def overall(self) -> float:
        """Over the whole run."""
        ran = sum(second[0] for second in self._seconds)
        return (ran + sum(second[1] for second in self._seconds)) / ran if ran else 1.0

    async def watch(self, daemons: Sequence[DaemonProcess]) -> None:
        """Measure until cancelled."""
        begun, before = time.monotonic(), Used.by(daemons).engines(daemons)
        while True:
            await asyncio.sleep(max(0.0, begun + SECOND * (len(self._seconds) + 1) - time.monotonic()))
            now = (await asyncio.to_thread(Used.by, daemons)).engines(daemons)
            self._seconds.append(now.since(before))
            before = now
