"""Which processes this one has started, read from /proc: for tests of cleaning up."""

import os
from pathlib import Path


def children() -> set[int]:
    """Process ids of this process's children, the unreaped ones too."""
    return {
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and stat(int(entry.name))[1:2] == [str(os.getpid())]
    }


def stat(pid: int) -> list[str]:
    """State and parent's id of a process, and more; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def running(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    return stat(pid)[:1] not in ([], ["Z"])
