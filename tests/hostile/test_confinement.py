"""A file that names other files and hosts reaches neither; a child that a file took over could not either."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from sttd.consumer.audio import confine
from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.audio.process import child_command
from sttd.consumer.errors import AudioRejected
from tests.hostile import texts

ROOT: Final = Path(__file__).resolve().parents[2]
SEALED: Final = "PR_SET_NO_NEW_PRIVS"
"""The call in a child's trace after which it reads untrusted bytes."""
NETWORK: Final = {"socket", "connect", "bind", "sendto", "sendmsg", "sendmmsg"}
OPENING: Final = {"open", "openat", "openat2", "creat", "execve", "execveat"}


def traced(tmp_path: Path, *more: str) -> tuple[dict[str, str], str]:
    """Run `texts` in a network namespace without routes, under strace; what became of each body, and the trace."""
    strace, unshare = shutil.which("strace"), shutil.which("unshare")
    if not (strace and unshare) and not os.environ.get("CI"):
        pytest.skip("strace or unshare is missing here: python -m tools.program strace strace")
    trace = tmp_path / "trace"
    calls = "trace=%network,%file,prctl,clone,clone3,vfork,fork"
    program = [
        str(unshare),
        "--user",
        "--map-root-user",
        "--net",
        str(strace),
        "-f",
        "-s",
        "0",
        "-e",
        calls,
        "-o",
        str(trace),
        sys.executable,
    ]
    done = subprocess.run(
        [*program, "-m", "tests.hostile.texts", *more], cwd=ROOT, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout), trace.read_text(errors="replace")


def calls_after_sealing(trace: str) -> list[str]:
    """What the children did, from the moment that they had given up their rights."""
    sealed: set[str] = set()
    found = []
    for line in trace.splitlines():
        pid, _, call = line.partition(" ")
        if pid in sealed:
            found.append(call.strip())
        if SEALED in call:
            sealed.add(pid)
    assert sealed, "no child was seen"
    return found


@pytest.mark.timeout(180)
@pytest.mark.parametrize("form", [[], ["--without-filter"]], ids=["as it runs", "by the whitelists alone"])
def test_bodies_that_name_files_and_hosts_open_nothing(tmp_path: Path, form: list[str]) -> None:
    """Not one attempt, by the whitelists alone; with the filter an attempt would fail on top of that."""
    became, trace = traced(tmp_path, *form)

    assert {code for name, code in became.items() if name != "QuickTime reference"} == {"unsupported_media"}
    names = [re.split(r"\W", call, maxsplit=1)[0] for call in calls_after_sealing(trace)]
    assert [name for name in names if name in NETWORK | OPENING | {"clone", "clone3", "fork", "vfork"}] == []
    assert "192.0.2.1" not in trace
    assert texts.SECRET not in trace
    assert "AF_INET" not in trace


PROBE: Final = """
import json,sys,os,socket,threading,ctypes,mmap; sys.path[:] = json.loads(sys.argv[1])
from sttd.consumer.audio import child
def attempt(what):
    try: what()
    except (OSError, RuntimeError) as error: return type(error).__name__
    return "done"
real = child.decode
def decode(audio, tally, send):
    if audio != b"x": return real(audio, tally, send)  # the rehearsal, before anything is given up
    libc = ctypes.CDLL(None, use_errno=True)
    tries = {
        "open": lambda: os.open("/etc/hostname", os.O_RDONLY),
        "write": lambda: os.open("/tmp/sttd-probe", os.O_WRONLY | os.O_CREAT),
        "list": lambda: os.listdir("/"),
        "socket": lambda: socket.socket(),
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "fork": os.fork,
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "thread": lambda: threading.Thread(target=int).start(),
        "kill parent": lambda: os.kill(os.getppid(), 0),
        "executable memory": lambda: mmap.mmap(-1, 4096, prot=7),
    }
    libc_calls = {
        "ptrace": lambda: libc.ptrace(16, os.getppid(), 0, 0),
        "unshare": lambda: libc.unshare(0x10000000),
        "mount": lambda: libc.mount(0, 0, 0, 0, 0),
    }
    found = {name: attempt(what) for name, what in tries.items()}
    found |= {name: "refused" if what() < 0 else "done" for name, what in libc_calls.items()}
    from sttd.consumer.audio.child.refusal import Rejected
    raise Rejected("audio_empty", "probed", **found)
child.decode = decode
child.main(sys.argv[2])
"""


async def test_a_child_that_was_taken_over_can_do_nothing_but_decode() -> None:
    """Code of an attacker inside a child finds no file, no socket, no process, no thread and no executable memory."""
    *python, _, path = child_command()
    pool = DecoderPool(1, DecodeLimits(), command=(*python, PROBE, path))
    await pool.start()
    try:
        if confine.SYSTEM_CALLS not in pool.confinement:
            pytest.skip("this kernel or machine has no system-call filter")
        with pytest.raises(AudioRejected) as caught:
            await pool.decode(b"x")
    finally:
        await pool.close()
    assert "done" not in caught.value.details.values(), caught.value.details
    assert len(caught.value.details) == 13


async def test_everything_is_in_force_where_the_kernel_allows_it(pool: DecoderPool) -> None:
    """`sttd check` shows what the child found to be in force."""
    missing = set(confine.EVERYTHING) - set(pool.confinement)
    assert missing <= {confine.NO_NETWORK, confine.SYSTEM_CALLS}, "the rest works anywhere"
    if os.geteuid() == 0 and sys.platform == "linux":
        (child,) = pool._idle
        status = await asyncio.to_thread(Path(f"/proc/{child.pid}/status").read_text)
        assert "CapEff:\t0000000000000000" in status
        assert "Seccomp:\t2" in status
        own, other = await asyncio.to_thread(
            lambda: [Path(f"/proc/{pid}/ns/net").readlink() for pid in ("self", child.pid)]
        )
        assert confine.NO_NETWORK not in pool.confinement or own != other
