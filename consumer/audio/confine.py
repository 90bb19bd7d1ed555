"""What a decoder child does to itself before it sees a stranger's bytes.

Imports the standard library only; runs in the child alone, once, after its imports.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import Final

from consumer.audio.limits import DecodeLimits

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_OPEN_FILES: Final = 16


def tie_to_parent(parent: int) -> None:
    """Die with the parent. A parent that died before this call is noticed by its changed id."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def ignore_signals() -> None:
    """Leave the end to the parent.

    A terminal and a service manager signal the whole group: a child that obeyed would die under the notes that the
    parent is still finishing.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def confine(limits: DecodeLimits) -> None:
    """Give up what decoding does not need: memory without end, writing files, core dumps, new privileges.

    Time is the parent's to limit: a processor-time limit here would add up over the files of one child.
    """
    _limit(resource.RLIMIT_AS, limits.address_space_bytes)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # A network namespace of its own and a seccomp filter belong here, as the last step.


def _limit(kind: int, value: int) -> None:
    """Lower a limit for good; one that is already lower stays (raising the hard limit is not ours to do)."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _prctl(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
