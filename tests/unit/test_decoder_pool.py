"""The pool of decoder children survives what files, time and its own users do to it, and leaves nothing behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.audio.process import child_command
from sttd.consumer.errors import AudioRejected, RequestFailed, StartupError
from sttd.schemas.codes import ErrorCode
from tests.support.children import children, running
from tools.audio import files

NOTE = files.encoded("ogg-opus")
FAULTY = Path(__file__).parents[1] / "support" / "faulty_decoder.py"
"""A child program that keeps the protocol but does on command what a file could make FFmpeg do."""

Make = Callable[..., Awaitable[DecoderPool]]


@pytest.fixture
def losses() -> list[str]:
    """What the pools of this test gave to `on_restart`."""
    return []


@pytest.fixture
async def make(losses: list[str]) -> AsyncIterator[Make]:
    """Start a pool; at the end it is closed and none of its children may be left."""
    before, pools = children(), []

    async def started(size: int = 1, *, faulty: bool = False, **limits: Any) -> DecoderPool:
        *python, boot, path = child_command()
        bounds = replace(DecodeLimits(decode_seconds=20), **limits)
        pool = DecoderPool(size, bounds, losses.append, command=(*python, FAULTY_BOOT if faulty else boot, path))
        pools.append(pool)
        await pool.start()
        return pool

    yield started
    for pool in pools:
        await pool.close()
    assert children() == before


FAULTY_BOOT = (
    "import json,sys,runpy; sys.path[:] = json.loads(sys.argv[1]); from sttd.consumer.audio import child; "
    f"child.decode = runpy.run_path({str(FAULTY)!r})['decode']; child.main(sys.argv[2])"
)


def pids(pool: DecoderPool) -> set[int]:
    """Process ids of a pool's children."""
    return {child.pid for child in (*pool._idle, *pool._busy)}


def kill(processes: set[int]) -> None:
    """SIGKILL to each."""
    for pid in processes:
        os.kill(pid, signal.SIGKILL)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does; the test's own timeout is the deadline."""
    while not condition():  # noqa: ASYNC110 -- the kernel sets no asyncio.Event
        await asyncio.sleep(0.005)


async def test_one_child_serves_file_after_file(make: Make, losses: list[str]) -> None:
    """Children are kept: a note does not pay for the start of a process."""
    pool = await make()
    before = children()
    for _ in range(5):
        await pool.decode(NOTE)
    assert children() == before
    assert losses == []
    assert repr(pool) == "<DecoderPool open size=1 idle=1 busy=0 restarts=0>"


async def test_many_files_at_once_share_two_children_and_each_gets_its_own_sound(make: Make) -> None:
    """Forty files of different lengths over two children: no answer goes to another's caller."""
    pool = await make(2)
    before = children()
    lengths = [0.1 + 0.01 * n for n in range(40)]
    notes = [files.encode("wav", "pcm_s16le", 16_000, "mono", files.tone(seconds, 16_000)) for seconds in lengths]
    decoded = await asyncio.gather(*(pool.decode(note) for note in notes))
    assert [audio.info.duration for audio in decoded] == pytest.approx(lengths, abs=0.001)
    assert children() == before


async def test_empty_bytes_never_reach_a_child() -> None:
    """A pool that was not even started answers for nothing at all."""
    with pytest.raises(AudioRejected) as caught:
        await DecoderPool(1, DecodeLimits()).decode(b"")
    assert caught.value.code == ErrorCode.AUDIO_EMPTY


async def test_a_file_beyond_the_budget_never_reaches_a_child(make: Make) -> None:
    """The child's memory limit is computed from the largest file; a larger one is refused before."""
    pool = await make(max_input_bytes=1000)
    with pytest.raises(AudioRejected) as caught:
        await pool.decode(bytes(1001))
    assert caught.value.code == ErrorCode.BODY_TOO_LARGE


async def test_a_child_killed_in_the_middle_of_a_file_costs_a_second_try_only(make: Make, losses: list[str]) -> None:
    """SIGKILL mid-job, as the kernel's memory killer does it: the note is decoded all the same, in a fresh child."""
    long = files.wav(bytes(4_000_000), rate=8_000, bits=8)
    pool = await make()
    old = pids(pool)
    job = asyncio.create_task(pool.decode(long))
    await until(lambda: "busy=1" in repr(pool))
    kill(old)
    assert (await job).info.duration == 500
    assert losses == ["died"]
    assert pids(pool).isdisjoint(old)


async def test_a_child_killed_between_two_files_costs_nobody_anything(make: Make, losses: list[str]) -> None:
    """An idle child may be gone when the next file comes; the file does not count that as a try of its own."""
    pool = await make()
    kill(pids(pool))
    await until(lambda: not pool._idle[0].alive)
    assert (await pool.decode(NOTE)).info.duration == 1.0
    assert losses == ["died"]


@pytest.mark.parametrize(
    ("file", "loss"),
    [(b"segfault", "died"), (b"exit", "died"), (b"babble", "protocol"), (b"lie", "protocol"), (b"endless", "protocol")],
)
async def test_a_file_that_breaks_two_children_is_the_callers_fault(
    make: Make, losses: list[str], file: bytes, loss: str
) -> None:
    """A crash, an exit, bytes that are no frame, a wrong answer: tried twice, then refused; the pool goes on."""
    pool = await make(faulty=True)
    with pytest.raises(AudioRejected) as caught:
        await pool.decode(file)
    assert caught.value.code == ErrorCode.AUDIO_UNREADABLE
    assert caught.value.details == {"decoder": loss, "tries": 2}
    assert losses == [loss, loss]
    assert (await pool.decode(b"good")).info.duration == 1.0


async def test_a_file_that_always_wants_more_room_is_refused_and_gives_its_room_back(
    make: Make, losses: list[str]
) -> None:
    """Tried three times: as a short note, with its announced length, with the largest room; then it is enough."""
    pool = await make(faulty=True)
    with pytest.raises(AudioRejected) as caught:
        await pool.decode(b"longer")
    assert caught.value.code == ErrorCode.AUDIO_UNREADABLE
    assert repr(pool._room) == "<Room taken=0 of=3600 s waiting=0>"
    assert losses == []


async def test_a_file_that_takes_too_long_is_killed_twice_and_refused(make: Make, losses: list[str]) -> None:
    """A decoder that hangs cannot be asked to stop: the process is killed at the deadline."""
    pool = await make(faulty=True, decode_seconds=0.3)
    with pytest.raises(AudioRejected) as caught:
        await pool.decode(b"hang")
    assert caught.value.details == {"decoder": "timed_out", "tries": 2}
    assert losses == ["timed_out", "timed_out"]
    assert "idle=0 busy=0" in repr(pool)


async def test_an_exception_in_the_child_is_answered_by_the_name_of_its_class_only(
    make: Make, losses: list[str]
) -> None:
    """An exception's text may quote the file: it stays in the child, which lives on."""
    pool = await make(faulty=True)
    before = children()
    with pytest.raises(AudioRejected) as caught:
        await pool.decode(b"raise")
    assert caught.value.details == {"error": "ZeroDivisionError"}
    assert "secret" not in str(caught.value)
    assert children() == before
    assert losses == []


async def test_memory_that_runs_out_costs_the_child(make: Make, losses: list[str]) -> None:
    """The address space has an end, and a process that has met it is not used again."""
    pool = await make(faulty=True)
    with pytest.raises(AudioRejected) as caught:
        await pool.decode(b"memory")
    assert caught.value.details["decoder"] == "died"
    assert losses == ["died", "died"]


async def test_cancelling_kills_the_busy_child_and_frees_its_place(make: Make, losses: list[str]) -> None:
    """A cancelled call leaves no child at work, and no place taken."""
    pool = await make(faulty=True)
    job = asyncio.create_task(pool.decode(b"hang"))
    await until(lambda: "busy=1" in repr(pool))
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert losses == ["cancelled"]
    assert (await pool.decode(b"good")).info.duration == 1.0


async def test_cancelling_one_that_only_waits_harms_nobody(make: Make, losses: list[str]) -> None:
    """A waiter holds no child, so none is killed."""
    pool = await make()
    first, second = asyncio.create_task(pool.decode(NOTE)), asyncio.create_task(pool.decode(NOTE))
    while "busy=1" not in repr(pool):  # noqa: ASYNC110 - each turn of the loop is looked at: the whole note takes a few milliseconds
        await asyncio.sleep(0)
    second.cancel()
    assert (await first).info.duration == 1.0
    assert losses == []


async def test_a_child_is_replaced_after_its_share_of_files(make: Make, losses: list[str]) -> None:
    """Whatever leaks in a decoder leaks for a bounded number of files."""
    pool = await make(files_per_child=2)
    for _ in range(5):
        await pool.decode(NOTE)
    assert losses == ["recycled", "recycled"]


async def test_closing_ends_busy_children_and_tells_their_callers(make: Make) -> None:
    """Shutdown waits for no hung decoder; the caller gets an error that is worth a retry, not a verdict on its file."""
    pool = await make(2, faulty=True)
    jobs = [asyncio.create_task(pool.decode(b"hang")) for _ in range(3)]
    await until(lambda: "busy=2" in repr(pool))
    await pool.close()
    errors = await asyncio.gather(*jobs, return_exceptions=True)
    assert all(isinstance(error, RequestFailed) and error.code == ErrorCode.INTERNAL_ERROR for error in errors)
    assert repr(pool) == "<DecoderPool closed size=2 idle=0 busy=0 restarts=0>"


async def test_a_child_that_cannot_start_is_one_clear_error() -> None:
    """A missing library stops the daemon at once, by name; nothing is started over and over."""
    *command, path = child_command()
    without = json.dumps([entry for entry in json.loads(path) if "site-packages" not in entry])
    before, pool = children(), DecoderPool(2, DecodeLimits(), command=(*command, without))
    with pytest.raises(StartupError, match=r"cannot start: ModuleNotFoundError: No module named 'av'"):
        await pool.start()
    assert children() == before


async def test_a_program_that_is_not_there_is_one_clear_error() -> None:
    """The same where not even the interpreter can be started."""
    with pytest.raises(StartupError, match="cannot be started"):
        await DecoderPool(1, DecodeLimits(), command=("/nonexistent/python",)).start()


async def test_a_child_has_given_up_what_decoding_does_not_need(make: Make) -> None:
    """No new privileges, no files to write, no core dumps, little memory, no environment, an empty directory."""
    (pid,) = pids(await make())
    proc = Path(f"/proc/{pid}")
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (proc / "limits").read_text().splitlines()[1:]}
    assert "NoNewPrivs:\t1" in (proc / "status").read_text()
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["16", "16"]
    assert limits["Max address space"] == [str(DecodeLimits().address_space_bytes)] * 2
    assert (proc / "environ").read_bytes() == b""
    assert str((proc / "cwd").readlink()).endswith("(deleted)")


async def test_a_child_ignores_the_signals_that_are_for_its_parent(make: Make, losses: list[str]) -> None:
    """Ctrl-C and a service manager's SIGTERM reach the whole group; the notes in hand are finished first."""
    pool = await make()
    (pid,) = pids(pool)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert (await pool.decode(NOTE)).info.duration == 1.0
    assert losses == []


PARENT = """
import asyncio, os, sys
from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool

async def main():
    pool = DecoderPool(2, DecodeLimits())
    await pool.start()
    print(*(child.pid for child in pool._idle), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_children_die_with_a_parent_that_is_killed() -> None:
    """SIGKILL to the daemon leaves no decoder behind, idle or busy."""
    root = str(Path(__file__).parents[2])
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=subprocess.PIPE, cwd=root)
    assert parent.stdout
    pids = (await parent.stdout.readline()).split()
    assert len(pids) == 2
    parent.kill()
    await parent.communicate()
    await until(lambda: not any(running(int(pid)) for pid in pids))
