"""What this process may use of its machine: cores and memory, as the kernel and the control groups report them."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

CGROUP: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")
CPU_QUOTAS: Final = {"": ("cpu.max",), "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us")}
"""By hierarchy, "" is version 2's: the files of quota and period."""
MEMORY_FILES: Final = {
    "": ("memory.max", "memory.current"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}
"""By hierarchy: the files of limit and use. Without a limit: the word `max`, or a number larger than any memory."""
STATUS: Final = Path("/proc/self/status")
MEMINFO: Final = Path("/proc/meminfo")


def usable_cores() -> int:
    """Cores that this process may use: its affinity, cut by the CPU quotas of its control groups."""
    cores = len(os.sched_getaffinity(0))
    quotas = (_number(functools.partial(_quota, *files)) for files in _files(CPU_QUOTAS))
    return max(1, min([cores, *(quota for quota in quotas if quota is not None)]))


def resident_bytes() -> int:
    """What this process has in memory now, in bytes; 0 where the system does not report it."""
    return _number(lambda: _kib(STATUS, "VmRSS:")) or 0


def available_bytes() -> int | None:
    """What may still be taken, in bytes: the system's free memory, or less where a control group allows less.

    None where neither is known.
    """
    return _least(functools.partial(_room, *files) for files in _files(MEMORY_FILES))


def allowed_bytes() -> int | None:
    """What a daemon here may take, in bytes: as `available_bytes`, but of a control group all.

    A container is the daemon's own: what is used there is, where one runs, the daemon's.
    """
    return _least(functools.partial(_integer, limit) for limit, _ in _files(MEMORY_FILES))


def _files(names: Mapping[str, Sequence[str]]) -> Iterator[list[Path]]:
    """These files of each control group that bounds this process: its own and those around it.

    A container mounts its own as the root, while its path may be told as the host sees it: that exists on the host
    only. A unit of systemd has a path below the root.
    """
    for hierarchy, files in names.items():
        path = PurePosixPath(_path(hierarchy))
        for group in (path, *path.parents):
            yield [CGROUP / hierarchy / group / name for name in files]


def _path(hierarchy: str) -> str:
    """This process's control group below the root of a hierarchy."""
    try:
        lines = [line.split(":", 2) for line in MEMBERSHIP.read_text(encoding="utf-8").splitlines()]
    except OSError:  # not Linux
        return ""
    paths = (path for _, controllers, path in lines if hierarchy in controllers.split(","))
    return next(paths, "").strip("/")


def _least(groups: Iterable[Callable[[], int]]) -> int | None:
    rooms = [lambda: _kib(MEMINFO, "MemAvailable:"), *groups]
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


def _integer(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


def _room(limit: Path, used: Path) -> int:
    return max(0, _integer(limit) - _integer(used))


def _quota(*files: Path) -> int:
    """Whole cores; raises `ValueError` where there is no quota, which version 1 tells as -1."""
    quota, period = map(int, " ".join(path.read_text(encoding="ascii") for path in files).split())
    if quota < 0:
        raise ValueError(quota)
    return quota // period
