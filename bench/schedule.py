"""How long the daemons' threads worked and stood in line for a core, by the kernel's own count (schedstat).

Linux only.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.process import Process, tree

SECOND: Final = 1.0
NANO: Final = 1e9
TICKS: Final = 100
"""Of a core second in /proc/stat."""


@dataclass(frozen=True, slots=True)
class Used:
    """What threads have used: nanoseconds on a core and in line for one, by thread."""

    threads: dict[str, tuple[int, int]]

    @classmethod
    def by(cls, daemons: Sequence[Process]) -> "Used":
        """All threads of the daemons and their decoder children."""
        pids = [pid for daemon in daemons for pid in tree(daemon.pid)]
        return cls({str(task): _schedstat(task) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()})

    def engines(self, daemons: Sequence[Process]) -> "Used":
        """Without decoder children, and without the event loop in each daemon's first thread."""
        folders = {f"/proc/{daemon.pid}/task" for daemon in daemons}
        loops = {f"/proc/{daemon.pid}/task/{daemon.pid}" for daemon in daemons}
        return Used(
            {
                name: used
                for name, used in self.threads.items()
                if name not in loops and name.rpartition("/")[0] in folders
            }
        )

    def since(self, before: "Used") -> tuple[float, float]:
        """Core seconds and seconds in line."""
        pairs = [(now, before.threads.get(name, (0, 0))) for name, now in self.threads.items()]
        return sum(now[0] - then[0] for now, then in pairs) / NANO, sum(now[1] - then[1] for now, then in pairs) / NANO


def _schedstat(task: Path) -> tuple[int, int]:
    try:
        ran, waited, _ = (task / "schedstat").read_text().split()
    except OSError:  # the thread has just ended
        return 0, 0
    return int(ran), int(waited)


class Cores:
    """How many times longer work takes than it did alone, from the kernel's count of core time, second by second.

    The daemons' own notes side by side are part of the simulation; what others used of the cores meanwhile is measured,
    and so is how much more core time a note took than in the calibration (caches, clock rates, a host that is shared).
    """

    def __init__(self, cores: int, engine_seconds: float) -> None:
        """`engine_seconds`: what the notes of the run should take in the engines' threads, by the calibration."""
        self._cores, self._wanted = cores, engine_seconds
        self._others: list[float] = []
        self._ran = self._waited = 0.0

    def __call__(self, at: float, at_work: int) -> float:
        """Around that second, with so many pieces of work side by side."""
        near = self._others[max(0, int(at) - 1) : int(at) + 3] or self._others
        return self.dearer * max(1.0, (at_work + sum(near) / max(1, len(near))) / self._cores)

    @property
    def dearer(self) -> float:
        """Core seconds of the engines over those of the calibration."""
        return self._ran / self._wanted if self._ran else 1.0

    @property
    def waited(self) -> float:
        """How many times longer the engines' threads took, standing in line included.

        For the table, not for the simulation.
        """
        return (self._ran + self._waited) / self._ran if self._ran else 1.0

    @property
    def others(self) -> float:
        """Cores that others used, on average."""
        return sum(self._others) / max(1, len(self._others))

    async def watch(self, daemons: Sequence[Process]) -> None:
        """Measure until cancelled."""
        begun, before, busy = time.monotonic(), Used.by(daemons), _busy_seconds()
        while True:
            await asyncio.sleep(max(0.0, begun + SECOND * (len(self._others) + 1) - time.monotonic()))
            now, busy_now = (await asyncio.to_thread(Used.by, daemons)), _busy_seconds()
            ran, waited = now.engines(daemons).since(before.engines(daemons))
            self._ran, self._waited = self._ran + ran, self._waited + waited
            self._others.append(max(0.0, busy_now - busy - now.since(before)[0]) / SECOND)
            before, busy = now, busy_now


def _busy_seconds() -> float:
    """Core seconds in which this machine's cores worked at all, or for another machine on the same host (steal)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS
