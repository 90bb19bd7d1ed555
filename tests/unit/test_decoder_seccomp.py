"""The system-call filter as the kernel will read it: run here, instruction by instruction, on made-up calls."""

import struct

import pytest

from sttd.consumer.audio.seccomp import program

ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000
X86_64, AARCH64 = 0xC000003E, 0xC00000B7
PID = 4711


def judged(code: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the filter answers to one call."""
    call = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    steps, at, held = list(struct.iter_unpack("=HBBI", code)), 0, 0
    while True:
        operation, if_true, if_false, value = steps[at]
        at += 1
        if operation == 0x20:
            (held,) = struct.unpack_from("=I", call, value)
        elif operation in {0x15, 0x45}:
            at += if_true if (held == value if operation == 0x15 else held & value) else if_false
        else:
            return int(value)


@pytest.fixture
def x86() -> bytes:
    """The filter of this kind of machine."""
    code = program("x86_64", PID)
    assert code is not None
    return code


@pytest.mark.parametrize(
    "number",
    [0, 1, 11, 12, 202, 228, 231, 318],
    ids="read write munmap brk futex clock_gettime exit_group getrandom".split(),
)
def test_what_decoding_needs_is_allowed(x86: bytes, number: int) -> None:
    """Memory, the socket that is open, the clock, the end."""
    assert judged(x86, X86_64, number) == ALLOW


@pytest.mark.parametrize(
    "number",
    [2, 257, 41, 42, 56, 57, 59, 62, 101, 165, 321, 425, 435, 2**30],
    ids="open openat socket connect clone fork execve kill ptrace mount bpf io_uring clone3 x32".split(),
)
def test_everything_else_is_refused(x86: bytes, number: int) -> None:
    """Files, sockets, processes, threads, and calls that are in no list."""
    assert judged(x86, X86_64, number) == REFUSE


def test_calls_by_another_machines_numbers_end_the_process(x86: bytes) -> None:
    """32-bit calls have other numbers: 11 is not munmap there but execve."""
    assert judged(x86, 0x40000003, 11) == KILL


def test_memory_never_becomes_executable(x86: bytes) -> None:
    """Neither mapped so nor changed so."""
    for number in (9, 10):
        assert judged(x86, X86_64, number, 0, 4096, 3) == ALLOW
        assert judged(x86, X86_64, number, 0, 4096, 7) == REFUSE


def test_signals_and_limits_are_for_the_process_itself(x86: bytes) -> None:
    """`abort` works; no other process can be signalled or limited."""
    assert (judged(x86, X86_64, 234, PID), judged(x86, X86_64, 234, 1)) == (ALLOW, REFUSE)
    assert (judged(x86, X86_64, 302, 0), judged(x86, X86_64, 302, 1)) == (ALLOW, REFUSE)


def test_there_is_a_filter_for_arm_and_none_for_what_is_not_known() -> None:
    """No filter is better than one with another machine's numbers: its absence is reported."""
    arm = program("aarch64", PID)
    assert arm is not None
    assert (judged(arm, AARCH64, 63), judged(arm, AARCH64, 56), judged(arm, AARCH64, 221)) == (ALLOW, REFUSE, REFUSE)
    assert program("riscv64", PID) is None
