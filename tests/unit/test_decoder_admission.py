"""Long files share the room for decoded sound; short notes never wait for it; no file starves and nothing leaks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sttd.consumer.audio.admission import Room
from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from sttd.schemas.codes import ErrorCode
from tools.audio import files

LIMITS = DecodeLimits(max_audio_seconds=200, decode_seconds=20)
LONG = files.wav(bytes(120 * 8_000), rate=8_000, bits=8)
"""Two minutes by their own header."""
SHORT = files.encoded("ogg-opus")


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_fits_is_taken_at_once_and_comes_back() -> None:
    """Room is counted in seconds of sound."""
    room = Room(100)
    first, second = await room.take(60), await room.take(40)
    assert repr(room) == "<Room taken=100 of=100 s waiting=0>"
    first()
    first()  # a second call gives nothing back twice
    second()
    assert repr(room) == "<Room taken=0 of=100 s waiting=0>"


async def test_first_come_first_served_even_where_a_smaller_one_would_fit() -> None:
    """An hour does not wait for ever behind a stream of five-minute files."""
    room, order = Room(100), list[str]()

    async def waits(name: str, seconds: float) -> None:
        release = await room.take(seconds)
        order.append(name)
        release()

    held = await room.take(60)
    jobs = []
    for name, seconds in (("large", 90.0), ("small", 10.0)):
        jobs.append(asyncio.create_task(waits(name, seconds)))
        await settled()
    assert order == []
    held()
    await asyncio.gather(*jobs)
    assert order == ["large", "small"]


async def test_a_file_beyond_all_room_is_served_alone() -> None:
    """The longest file that is taken can be longer than the room only by its slack; it must not wait for ever."""
    room = Room(100)
    release = await room.take(150)
    assert repr(room) == "<Room taken=100 of=100 s waiting=0>"
    release()


@pytest.mark.parametrize("called_first", [False, True], ids=["while waiting", "in the moment of its turn"])
async def test_whoever_gives_up_leaves_the_line_and_takes_no_room(called_first: bool) -> None:
    """A cancelled request holds up no other, whenever that happens."""
    room = Room(100)
    held = await room.take(100)
    gone = asyncio.create_task(room.take(80))
    following = asyncio.create_task(room.take(30))
    await settled()
    if called_first:
        held()
        gone.cancel()
    else:
        gone.cancel()
        held()
    with pytest.raises(asyncio.CancelledError):
        await gone
    (await following)()
    assert repr(room) == "<Room taken=0 of=100 s waiting=0>"


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    """Two children, room for one long file."""
    pool = DecoderPool(2, LIMITS)
    await pool.start()
    yield pool
    await pool.close()


async def test_long_files_wait_for_each_other_and_short_notes_pass_them(pool: DecoderPool) -> None:
    """Two files of two minutes are not in memory together where there is room for one, and no child waits."""
    first = await pool.decode(LONG)
    second = asyncio.create_task(pool.decode(LONG))
    for _ in range(3):
        assert (await pool.decode(SHORT)).info.duration == 1.0
    assert not second.done()
    with first:
        assert first.info.duration == 120
    assert (await second).info.duration == 120


async def test_a_file_that_hides_its_length_is_decoded_all_the_same(pool: DecoderPool) -> None:
    """It is found out on the way, its packets are counted, and it begins anew with enough room."""
    audio = files.encode("adts", "aac", 16_000, "mono", files.tone(1, 16_000)) * 100
    with await pool.decode(audio) as decoded:
        assert decoded.info.duration > 100
        assert decoded.info.declared_duration is None
    assert repr(pool._room) == "<Room taken=0 of=200 s waiting=0>"


async def test_a_header_that_lies_about_a_long_time_does_not_refuse_a_good_note(pool: DecoderPool) -> None:
    """A declared length beyond the limit is checked by the packets; the note is decoded, the wrong length reported."""
    flac = bytearray(files.encoded("flac", 2))
    flac[21] = flac[21] & 0xF0 | 0x0F  # the highest bits of the 36 that count samples
    info = (await pool.decode(bytes(flac))).info
    assert info.duration == pytest.approx(2, abs=0.01)
    assert info.truncated


async def test_a_refused_or_abandoned_long_file_gives_its_room_back(pool: DecoderPool) -> None:
    """Whatever ends a file between the line and its sound, the next one gets the room."""
    hidden = files.encode("adts", "aac", 16_000, "mono", files.tone(1, 16_000)) * 300
    with pytest.raises(AudioRejected) as caught:
        await pool.decode(hidden)
    assert caught.value.code == ErrorCode.AUDIO_TOO_LONG
    abandoned = asyncio.create_task(pool.decode(LONG))
    await asyncio.sleep(0)
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    with await pool.decode(LONG) as decoded:
        assert decoded.info.duration == 120
