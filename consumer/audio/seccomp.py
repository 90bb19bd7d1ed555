"""A system-call filter for the decoder child: memory, its socket, the clock and exit; all else is refused.

Runs in the child alone, as its last step before untrusted bytes. Opens nothing itself.
"""

import ctypes
import os
import platform
import struct
from typing import Final

_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050001  # with EPERM: a library that tries more carries on, or fails as on any refused file
_KILL: Final = 0x80000000

_LOAD: Final = 0x20  # a 32-bit word of the call's description
_EQUAL: Final = 0x15
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_PROT_EXEC: Final = 4


def _numbers(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in (pair.split("=") for pair in text.split())}


_CALLS: Final[dict[str, tuple[int, dict[str, int]]]] = {
    "x86_64": (
        0xC000003E,
        _numbers(
            """
            read=0 write=1 close=3 fstat=5 lseek=8 mmap=9 mprotect=10 munmap=11 brk=12 rt_sigaction=13
            rt_sigprocmask=14 rt_sigreturn=15 sched_yield=24 mremap=25 madvise=28 dup2=33 nanosleep=35 getpid=39
            exit=60 getrusage=98 gettid=186 futex=202 restart_syscall=219 clock_gettime=228 clock_nanosleep=230
            exit_group=231 tgkill=234 dup3=292 prlimit64=302 getrandom=318
            """
        ),
    ),
    "aarch64": (
        0xC00000B7,
        _numbers(
            """
            dup3=24 close=57 lseek=62 read=63 write=64 fstat=80 exit=93 exit_group=94 futex=98 nanosleep=101
            clock_gettime=113 clock_nanosleep=115 sched_yield=124 restart_syscall=128 tgkill=131 rt_sigaction=134
            rt_sigprocmask=135 rt_sigreturn=139 getrusage=165 getpid=172 gettid=178 brk=214 munmap=215 mremap=216
            mmap=222 mprotect=226 madvise=233 prlimit64=261 getrandom=278
            """
        ),
    ),
}
"""The numbers of the calls that stay, by machine. No open, no socket, no process, no thread."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def program(machine: str, pid: int) -> bytes | None:
    """The filter as the kernel reads it; None for a machine whose numbers are not known here.

    Beyond the table: memory never becomes executable, limits change for this process only, and so do signals.
    """
    if machine not in _CALLS:
        return None
    architecture, calls = _CALLS[machine]
    code = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    for name, number in calls.items():
        code += [_step(_EQUAL, number, 0, len(_RULES.get(name, _freely)(pid))), *_RULES.get(name, _freely)(pid)]
    return b"".join([*code, _step(_RETURN, _REFUSE)])


def install() -> bool:
    """Put the filter on this thread, the process's only one. Needs no-new-privileges. False where there is none."""
    code = program(platform.machine(), os.getpid())
    if code is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    pointer = ctypes.byref(_Program(len(code) // 8, code))
    return bool(
        libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0)) == 0
    )


def _step(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, if_true, if_false, value)


def _argument(index: int) -> bytes:
    """Load the low half of an argument; both machines are little-endian."""
    return _step(_LOAD, _ARGUMENTS + 8 * index)


def _freely(_pid: int) -> list[bytes]:
    return [_step(_RETURN, _ALLOW)]


def _not_executable(_pid: int) -> list[bytes]:
    return [_argument(2), _step(_ANY_BIT, _PROT_EXEC, 0, 1), _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)]


def _own_process(pid: int) -> list[bytes]:
    return [_argument(0), _step(_EQUAL, pid, 1, 0), _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)]


def _this_process(_pid: int) -> list[bytes]:
    return [_argument(0), _step(_EQUAL, 0, 1, 0), _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)]


_RULES: Final = {
    "mmap": _not_executable,
    "mprotect": _not_executable,
    "tgkill": _own_process,
    "prlimit64": _this_process,
}
