"""What this process may use of its machine: cores and memory, as kernel and cgroup report them."""

import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

CGROUP: Final = Path("/sys/fs/cgroup")
CPU_QUOTAS: Final = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""Quota and period, in version 2 and in version 1."""
MEMORY_FILES: Final = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Limit and use, in version 2 and in version 1. Without a limit: the word `max`, or a number larger than any memory."""
STATUS: Final = Path("/proc/self/status")
MEMINFO: Final = Path("/proc/meminfo")


def usable_cores() -> int:
    """Cores that this process may use: its affinity, cut by the cgroup's CPU quota."""
    cores = len(os.sched_getaffinity(0))
    for files in CPU_QUOTAS:
        try:
            quota, period = " ".join((CGROUP / name).read_text(encoding="ascii") for name in files).split()
            if int(quota) > 0:
                return max(1, min(cores, int(quota) // int(period)))
        except (OSError, ValueError):  # the other version, or "max": no quota
            continue
    return cores


def resident_bytes() -> int:
    """What this process has in memory now, in bytes; 0 where the system does not report it."""
    try:
        return _kib(STATUS, "VmRSS:")
    except (OSError, ValueError, StopIteration):
        return 0


def available_bytes() -> int | None:
    """What may still be taken, in bytes: the system's free memory, or less where a cgroup allows less.

    None where neither is known.
    """
    return _least(functools.partial(_cgroup_room, *names) for names in MEMORY_FILES)


def allowed_bytes() -> int | None:
    """What a daemon here may take, in bytes: as `available_bytes`, but of a cgroup all.

    A container is the daemon's own: what is used there is, where one runs, the daemon's.
    """
    return _least(functools.partial(_cgroup_number, limit) for limit, _ in MEMORY_FILES)


def _least(cgroups: Iterable[Callable[[], int]]) -> int | None:
    rooms = [lambda: _kib(MEMINFO, "MemAvailable:"), *cgroups]
    return min((room for room in map(_number, rooms) if room is not None), default=None)


def _number(read: Callable[[], int]) -> int | None:
    try:
        return read()
    except (OSError, ValueError, StopIteration):  # not there, or no limit
        return None


def _kib(path: Path, name: str) -> int:
    """A line of the kernel's, such as `VmRSS:  2048 kB`, in bytes."""
    lines = path.read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def _cgroup_number(name: str) -> int:
    return int((CGROUP / name).read_text(encoding="ascii"))


def _cgroup_room(limit: str, used: str) -> int:
    return max(0, _cgroup_number(limit) - _cgroup_number(used))
