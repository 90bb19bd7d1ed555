"""What a decoder child does to itself before it reads untrusted bytes.

Runs in the child alone, once, after its imports. What the kernel does not allow is left out and reported: `confine`
returns what is in force.
"""

import ctypes
import math
import os
import resource
import signal
from typing import Final

from sttd.consumer.audio import seccomp
from sttd.consumer.audio.limits import DecodeLimits

LIMITS: Final = "limits"
NO_NEW_PRIVILEGES: Final = "no new privileges"
NO_CAPABILITIES: Final = "no capabilities"
NO_NETWORK: Final = "own network namespace"
SYSTEM_CALLS: Final = "system-call filter"
EVERYTHING: Final = (LIMITS, NO_NETWORK, NO_CAPABILITIES, NO_NEW_PRIVILEGES, SYSTEM_CALLS)
"""All that can be in force, in the order in which it is done."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_CAPABILITY_VERSION: Final = 0x20080522
_OPEN_FILES: Final = 16
_SLACK_SECONDS: Final = 5
"""The parent's clock ends a file first; the kernel's limit acts only if the parent is stuck itself."""


def tie_to_parent(parent: int) -> None:
    """Die with the parent. A parent that died before this call is noticed by its changed id."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def ignore_signals() -> None:
    """Ignore the signals that end the parent.

    A terminal and a service manager signal the whole group. Without this the children would die while the
    parent still finishes notes.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def confine(limits: DecodeLimits) -> list[str]:
    """Give up what decoding does not need: memory without limit, files, network, privileges.

    Returns what is in force. After this the process opens nothing and starts nothing any more, no thread either.
    """
    _limit(resource.RLIMIT_AS, limits.address_space_bytes)
    _limit(resource.RLIMIT_DATA, limits.data_bytes)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    in_force = {LIMITS: True, NO_NETWORK: _leave_network(), NO_CAPABILITIES: _drop_capabilities()}
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    in_force |= {NO_NEW_PRIVILEGES: True, SYSTEM_CALLS: seccomp.install()}
    return [name for name, is_so in in_force.items() if is_so]


def limit_time(seconds: float) -> None:
    """Bound the processor time of the next file: the limit counts the whole life of the process, so it moves along."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds) + _SLACK_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _limit(kind: int, value: int) -> None:
    """Lower a limit for good; one that is already lower stays (the hard limit must not be raised)."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _leave_network() -> bool:
    """Enter a network namespace without interfaces that are up.

    As root at once, else by a user namespace where they are allowed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)


def _drop_capabilities() -> bool:
    """Drop all of them: those of root, and those that a new user namespace brings."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    return bool(libc.capset(header, none) == 0)


def _prctl(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
