"""Small files that want to become large get their code within two seconds, and no more memory than the bound has for a child."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from sttd.consumer import memory
from sttd.consumer.audio.limits import MIB, DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from tests.hostile.bombs import BOMBS

SECONDS: Final = 2.0
PARENT_MIB: Final = 16
"""What the parent may take for a file that is refused, beside its body and what sound it got before the refusal."""

SOUND_BYTES: Final = 2 * 16_000
"""A second of sound as the child sends it. The printed bound has five times as much for each second of the longest file."""
TICKS: Final = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid: int) -> float:
    """What a process has used so far; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def highest_bytes(pid: int | str) -> int:
    """The most that a process had in memory, ever or since `forget_highest`."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def forget_highest() -> None:
    """Let this process' highest mark begin anew (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_refused_with_its_code_before_it_goes_off(pool: DecoderPool, name: str) -> None:
    """Two seconds of the child's processor time, not of the wall: the machine that tests run on is shared."""
    make, code = BOMBS[name]
    audio = make()
    (child,) = pool._idle
    before = processor_seconds(child.pid)
    forget_highest()
    parent_before = highest_bytes("self")

    with pytest.raises(AudioRejected) as caught:
        await pool.decode(audio)

    assert caught.value.code == code
    (after,) = pool._idle or [child]
    assert processor_seconds(after.pid) - (before if after is child else 0) < SECONDS
    sound = int(DecodeLimits().max_audio_seconds * SOUND_BYTES)
    assert highest_bytes("self") - parent_before < memory.BODY_COPIES * len(audio) + sound + PARENT_MIB * MIB
    if after.alive:
        assert highest_bytes(after.pid) < DecodeLimits().address_space_bytes


def test_there_are_at_least_thirty_kinds() -> None:
    """The number that the documents name."""
    assert len(BOMBS) >= 30
