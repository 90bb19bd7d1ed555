"""All the sound of a file is decoded, at its place, and only what is missing is reported. Each file is made here."""

import struct
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from sttd.consumer.audio.decoder import DecodedAudio
from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from sttd.consumer.pcm import floats
from sttd.schemas.codes import ErrorCode
from tests.support.tracks import Piece, Span, Track, bursts, muxed, signal, sounding, unfinished, without_codec
from tools.audio import containers as c
from tools.audio import damage, files

pytestmark = pytest.mark.asyncio(loop_scope="module")
COUNTS = {"stereo": 2, "2.1": 3, "quad": 4, "5.1": 6, "6.1": 7, "7.1": 8}
OFF = 0.07
"""Seconds: what encoders put before the sound without saying so."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[DecoderPool]:
    """One child for the whole module."""
    pool = DecoderPool(1, DecodeLimits(max_audio_seconds=100, decode_seconds=20))
    await pool.start()
    yield pool
    await pool.close()


def sounds_at(decoded: DecodedAudio, expected: tuple[Span, ...]) -> bool:
    """Whether the sound is at these places and nowhere else."""
    found = sounding(floats(decoded.pcm))
    return len(found) == len(expected) and np.allclose(found, expected, atol=OFF)


def shifted(seconds: float, by: float) -> tuple[Span, ...]:
    """Where so much sound has its bursts when it begins late."""
    return tuple((start + by, end + by) for start, end in bursts(seconds))


def mono(seconds: float, rate: int, at: float = 0.0) -> Piece:
    """Bursts on one channel."""
    return Piece(at, signal(seconds, rate)[None])


@pytest.mark.parametrize("container", ["wav", "w64", "aiff", "caf"])
@pytest.mark.parametrize("header", ["first flush", "two billion"])
async def test_sound_behind_an_unfinished_header_is_heard(pool: DecoderPool, container: str, header: str) -> None:
    """A recorder wrote its header first and never updated it: all sound is there, and no length."""
    encoder = "pcm_s16be" if container == "aiff" else "pcm_s16le"
    whole = files.encode(container, encoder, 16_000, "mono", signal(4, 16_000))
    decoded = await pool.decode(unfinished(container, whole, header))
    assert sounds_at(decoded, bursts(4))
    assert (decoded.info.truncated, decoded.info.declared_duration) == (False, None)


@pytest.mark.parametrize(
    "name", ["wav-s16", "ogg-opus", "webm-opus", "m4a-aac", "mov-alac", "mp3", "amr", "flac", "caf"]
)
async def test_files_joined_to_one_are_all_heard(pool: DecoderPool, name: str) -> None:
    """Two notes in one body: a demuxer stops behind the first, or stumbles over the head of the second."""
    audio = files.encoded(name, 2)
    once, twice = await pool.decode(audio), await pool.decode(audio + audio)
    assert twice.info.duration == pytest.approx(2 * once.info.duration, abs=0.02)
    assert not twice.info.truncated


async def test_a_joined_file_that_cannot_be_read_is_told(pool: DecoderPool) -> None:
    """The first is decoded; that the second is not is no plain success."""
    audio = files.encoded("m4a-aac", 2)
    decoded = await pool.decode(audio + audio[: len(audio) // 2])
    assert decoded.info.duration == pytest.approx(2, abs=0.1)
    assert decoded.info.truncated


@pytest.mark.parametrize("encoder", ["pcm_s16le", "pcm_u8", "pcm_f32le", "pcm_s24le"])
async def test_channels_that_cancel_each_other_are_heard(pool: DecoderPool, encoder: str) -> None:
    """The right channel is the left one upside down: FFmpeg's mix of them is silence."""
    left = signal(3, 16_000)
    audio = files.encode("wav", encoder, 16_000, "stereo", np.stack([left, -left]))
    assert sounds_at(await pool.decode(audio), bursts(3))


async def test_two_of_many_channels_that_cancel_each_other_are_heard(pool: DecoderPool) -> None:
    """The third one sounds in their pauses: all channels together do not cancel, and the first two would be lost."""
    left = signal(3, 16_000)
    third = np.concatenate([np.zeros(6_400, np.float32), left[:-6_400]])
    audio = files.encode("wav", "pcm_s16le", 16_000, "quad", np.stack([left, -left, third, 0 * left]))
    assert sounds_at(await pool.decode(audio), ((0.15, 3.0),))


async def test_a_voice_that_is_upside_down_for_a_while_only_is_heard(pool: DecoderPool) -> None:
    """The other voice, on both channels alike, stays as loud as before."""
    left = signal(6, 16_000)
    right = np.where(np.arange(left.size) < 3 * 16_000, left, -left).astype(np.float32)
    decoded = await pool.decode(files.encode("wav", "pcm_s16le", 16_000, "stereo", np.stack([left, right])))
    assert sounds_at(decoded, bursts(6))


@pytest.mark.parametrize("container", ["wav", "matroska"])
@pytest.mark.parametrize("encoder", ["pcm_f32le", "pcm_f64le"])
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize(("layout", "channel"), [("stereo", 0), ("stereo", 1), ("5.1", 3)])
async def test_a_channel_without_numbers_does_not_cover_the_others(
    pool: DecoderPool, container: str, encoder: str, broken: float, layout: str, channel: int
) -> None:
    """A driver fills the channel of a microphone that is not there with anything; a mix with it is no sound at all."""
    each = np.tile(signal(2, 16_000), (COUNTS[layout], 1))
    each[channel] = broken
    audio = muxed(container, encoder, 16_000, [Track(layout, [Piece(0.0, each)])])
    assert sounds_at(await pool.decode(audio), bursts(2))


@pytest.mark.parametrize(("layout", "channel"), [(name, at) for name, count in COUNTS.items() for at in range(count)])
async def test_sound_in_one_channel_only_is_heard_whichever_it_is(pool: DecoderPool, layout: str, channel: int) -> None:
    """A recorder with six microphones writes 5.1: FFmpeg's mix leaves the fourth one out."""
    one = signal(2, 16_000)
    each = np.zeros((COUNTS[layout], one.size), dtype=np.float32)
    each[channel] = one
    named = muxed("wav", "pcm_s16le", 16_000, [Track(layout, [Piece(0.0, each)])])
    plain = files.wav((each.T * 32_767).astype("<i2").tobytes(), channels=COUNTS[layout])
    for audio in (named, plain):
        assert sounds_at(await pool.decode(audio), bursts(2))


@pytest.mark.parametrize(
    ("container", "encoder"), [("mp4", "aac"), ("mov", "alac"), ("matroska", "aac"), ("matroska", "pcm_s16le")]
)
async def test_the_track_that_can_be_decoded_is_chosen_and_told(
    pool: DecoderPool, container: str, encoder: str
) -> None:
    """Phones put a track of their own beside the one that others read, and in front of it."""
    tracks = [Track("mono", [mono(3, 44_100)]), Track("mono", [mono(2, 44_100)])]
    decoded = await pool.decode(without_codec(muxed(container, encoder, 44_100, tracks)))
    assert (decoded.info.track, decoded.info.tracks) == (2, 2)
    assert sounds_at(decoded, bursts(2))


@pytest.mark.parametrize(("container", "encoder"), [("mp4", "aac"), ("matroska", "libmp3lame")])
async def test_the_track_that_holds_sound_is_chosen(pool: DecoderPool, container: str, encoder: str) -> None:
    """A screen recording has a track for the machine's own sound, silent, and one for the microphone."""
    silent = Track("stereo", [Piece(0.0, np.zeros((2, 3 * 44_100), dtype=np.float32))])
    decoded = await pool.decode(muxed(container, encoder, 44_100, [silent, Track("mono", [mono(3, 44_100)])]))
    assert (decoded.info.track, decoded.info.tracks) == (2, 2)
    assert sounds_at(decoded, bursts(3))


async def test_a_track_of_noise_is_no_track_of_sound(pool: DecoderPool) -> None:
    """Noise of a microphone at -75 dB in front of the speech; alone it would be decoded like speech at -60 dB."""
    noise = np.random.default_rng(1).standard_normal((1, 3 * 44_100)) * 10 ** (-75 / 20)
    tracks = [Track("mono", [Piece(0.0, noise.astype(np.float32))]), Track("mono", [mono(3, 44_100)])]
    decoded = await pool.decode(muxed("matroska", "pcm_s24le", 44_100, tracks))
    assert (decoded.info.track, decoded.info.tracks) == (2, 2)
    assert sounds_at(decoded, bursts(3))


async def test_of_silent_tracks_the_first_one_is_heard(pool: DecoderPool) -> None:
    """Silence is an answer, not a failure."""
    silent = Track("mono", [Piece(0.0, np.zeros((1, 32_000), dtype=np.float32))])
    info = (await pool.decode(muxed("matroska", "pcm_s16le", 16_000, [silent, silent]))).info
    assert (info.track, info.tracks, info.duration) == (1, 2, 2.0)


async def test_tracks_that_nobody_can_decode_are_refused(pool: DecoderPool) -> None:
    """With the code of the first of them."""
    audio = without_codec(muxed("mp4", "aac", 44_100, [Track("mono", [mono(2, 44_100)])]))
    with pytest.raises(AudioRejected) as caught:
        await pool.decode(audio)
    assert caught.value.code == ErrorCode.UNSUPPORTED_MEDIA


CLOCKED = [
    ("webm", "libopus", 48_000),
    ("matroska", "aac", 44_100),
    ("mp4", "aac", 44_100),
    ("mov", "alac", 44_100),
    ("3gp", "libopencore_amrnb", 8_000),
]


@pytest.mark.parametrize(("container", "encoder", "rate"), CLOCKED)
async def test_a_hole_and_a_late_beginning_keep_their_place(
    pool: DecoderPool, container: str, encoder: str, rate: int
) -> None:
    """The sound of a paused recorder, and of a track that an edit list delays: silence, not a shift, no loss."""
    first = round(2 * rate / 4096) * 4096 / rate if encoder == "alac" else 2.048 if encoder == "aac" else 2.0
    pieces = [mono(first, rate, 5.0), mono(2, rate, 5.0 + first + 6)]
    decoded = await pool.decode(muxed(container, encoder, rate, [Track("mono", pieces)]))
    assert sounds_at(decoded, shifted(first, 5.0) + shifted(2, 5.0 + first + 6))
    assert decoded.info.gaps == pytest.approx(11, abs=0.15)
    assert decoded.info.declared_duration == pytest.approx(decoded.info.duration, abs=0.1)
    assert not decoded.info.truncated


async def test_sound_that_begins_late_behind_a_picture_keeps_its_place(pool: DecoderPool) -> None:
    """The picture begins at zero, so the sound is late, and that the picture lasts longer is no loss."""
    tracks = [Track("mono", [mono(3, 44_100, 4.0)])]
    for container in ("mp4", "matroska"):
        decoded = await pool.decode(muxed(container, "aac", 44_100, tracks, video_seconds=12))
        assert sounds_at(decoded, shifted(3, 4.0))
        assert not decoded.info.truncated


async def test_a_recording_from_the_middle_of_a_stream_begins_at_once(pool: DecoderPool) -> None:
    """Ogg from a radio begins at any position: that is where its clock stands, not a silence of an hour."""
    audio = muxed("ogg", "libopus", 48_000, [Track("mono", [mono(3, 48_000, 3600.0)])])
    decoded = await pool.decode(audio)
    assert sounds_at(decoded, bursts(3))
    assert (decoded.info.gaps, decoded.info.truncated) == (0.0, False)


async def test_a_clock_that_jumps_by_hours_makes_no_note_too_long(pool: DecoderPool) -> None:
    """A hole beyond the longest sound that is taken is closed: the sound itself is short."""
    pieces = [mono(2, 48_000), mono(2, 48_000, 7200.0)]
    for options in ({}, {"live": "1"}):
        decoded = await pool.decode(muxed("webm", "libopus", 48_000, [Track("mono", pieces)], options=options))
        assert sounds_at(decoded, bursts(2) + shifted(2, 2.0))
        assert (decoded.info.gaps, decoded.info.truncated) == (0.0, False)


@pytest.mark.parametrize("more", [0, 3], ids=["as written", "paused"])
async def test_a_pause_at_the_end_of_an_mp4_is_no_loss(pool: DecoderPool, more: int) -> None:
    """A recorder that was paused gives the pause to its last packet."""
    audio = bytearray(files.encode("mp4", "aac", 44_100, "mono", signal(4, 44_100)))
    times = audio.index(b"stts") + 8
    last = times + 4 + 8 * int.from_bytes(audio[times : times + 4]) - 4
    for at, by in ((last, 44_100), (audio.index(b"mdhd") + 20, 44_100), (audio.index(b"elst") + 12, 1000)):
        audio[at : at + 4] = (int.from_bytes(audio[at : at + 4]) + more * by).to_bytes(4)
    decoded = await pool.decode(bytes(audio))
    assert sounds_at(decoded, bursts(4))
    assert not decoded.info.truncated
    assert decoded.info.declared_duration == pytest.approx(4 + more, abs=0.05)


async def test_an_ogg_file_that_ends_with_an_empty_page_is_whole(pool: DecoderPool) -> None:
    """VLC ends its files so; FFmpeg takes the page's one empty packet for a damaged one."""
    *pages, last = files.ogg_pages(files.encode("ogg", "libopus", 48_000, "mono", signal(3, 48_000)))
    serial, number = struct.unpack_from("<II", last, 14)
    (granule,) = struct.unpack_from("<q", last, 6)
    packets, at = [b""], 27 + last[26]
    for size in last[27:at]:
        packets[-1] += last[at : at + size]
        at += size
        packets += [b""] if size < 255 else []
    again = c.ogg_page(packets[:-1], number, granule, serial=serial)
    decoded = await pool.decode(
        b"".join([*pages, again, c.ogg_page([b""], number + 1, granule, flags=4, serial=serial)])
    )
    assert sounds_at(decoded, bursts(3))
    assert (decoded.info.truncated, decoded.info.bad_packets) == (False, 0)


@pytest.mark.parametrize("name", ["mp3", "adts-aac", "amr", "flac", "ogg-opus", "wav-s16"])
@pytest.mark.parametrize("second", ["ogg-opus", "flac", "wav-s16", "m4a-aac"])
async def test_joined_files_of_different_formats_are_all_heard(pool: DecoderPool, name: str, second: str) -> None:
    """FLAC followed by Ogg was a plain success of half the sound, AMR a minute of noise."""
    one, other = files.encoded(name, 2), files.encoded(second, 2)
    both = await pool.decode(one + other)
    assert both.info.duration == pytest.approx(4, abs=0.2)
    assert (both.info.truncated, both.info.bad_packets) == (False, 0)


@pytest.mark.parametrize("seconds", [0.7, 1.0, 3.1, 7.77])
async def test_a_container_that_counts_packets_is_whole_whatever_its_last_packet_holds(
    pool: DecoderPool, seconds: float
) -> None:
    """ALAC in CAF has its length to 93 ms; less than a packet too little is padding, not damage."""
    info = (await pool.decode(files.encode("caf", "alac", 44_100, "mono", files.tone(seconds, 44_100)))).info
    assert info.duration == pytest.approx(seconds, abs=0.001)
    assert not info.truncated


@pytest.mark.parametrize("name", ["wav-s16", "flac", "mp3", "m4a-aac", "adts-aac", "amr", "ogg-vorbis", "webm-opus"])
@pytest.mark.parametrize("behind", [b"\r\n", b"TAG" + bytes(125), b"\n--a-form's-boundary--\r\n" * 40])
async def test_what_is_no_sound_behind_a_file_is_no_loss(pool: DecoderPool, name: str, behind: bytes) -> None:
    """Line ends, tags and scraps of a form, as uploads leave them."""
    audio = files.encoded(name, 2)
    assert not (await pool.decode(audio + behind)).info.truncated


async def test_a_picture_that_ends_later_than_the_sound_does_not_tell_its_length(pool: DecoderPool) -> None:
    """Matroska has one length for all tracks.

    The sound's own is what counts, also where the end of the picture is missing.
    """
    audio = muxed("matroska", "aac", 44_100, [Track("mono", [mono(2, 44_100)])], video_seconds=6)
    for whole_or_cut in (audio, audio[:-400]):
        decoded = await pool.decode(whole_or_cut)
        assert sounds_at(decoded, bursts(2))
        assert not decoded.info.truncated


async def test_a_video_note_cut_in_the_middle_of_its_sound_is_told(pool: DecoderPool) -> None:
    """The same file without its second half."""
    audio = muxed("matroska", "aac", 44_100, [Track("mono", [mono(6, 44_100)])], video_seconds=6)
    assert (await pool.decode(audio[: len(audio) // 2])).info.truncated
    assert not (await pool.decode(damage.video(2))).info.truncated


@pytest.mark.parametrize("no_data", [b"\x7c", b"\x78"])
async def test_pauses_that_a_phone_does_not_send_are_silence_in_amr(pool: DecoderPool, no_data: bytes) -> None:
    """Frames of type 15: 20 ms of silence each, at their place. Six seconds of them are no damage."""
    audio = files.encode("amr", "libopencore_amrnb", 8_000, "mono", signal(2, 8_000))
    decoded = await pool.decode(audio[:6] + no_data * 300 + audio[6:])
    assert sounds_at(decoded, shifted(2, 6.0))
    assert decoded.info.gaps == pytest.approx(6)
    assert (decoded.info.truncated, decoded.info.bad_packets) == (False, 0)


@pytest.mark.parametrize("form", [0, 2**32 - 1])
@pytest.mark.parametrize("frames", [0, 2**32 - 1])
@pytest.mark.parametrize("size", [0, 2**32 - 1])
async def test_an_aiff_whose_lengths_were_never_filled_in_is_heard(
    pool: DecoderPool, form: int, frames: int, size: int
) -> None:
    """The three of them: of the file, in samples, of the sound."""
    audio = bytearray(files.encode("aiff", "pcm_s16be", 16_000, "mono", signal(2, 16_000)))
    for at, value in ((4, form), (audio.index(b"COMM") + 10, frames), (audio.index(b"SSND") + 4, size)):
        audio[at : at + 4] = value.to_bytes(4)
    decoded = await pool.decode(bytes(audio))
    assert sounds_at(decoded, bursts(2))
    assert (decoded.info.truncated, decoded.info.declared_duration) == (False, None)


async def test_blocks_of_webm_that_the_demuxer_passes_over_are_told(pool: DecoderPool) -> None:
    """One damaged block costs all up to the next cluster, and no packet is bad."""
    audio = files.encoded("webm-opus", 4)
    at = audio.index(b"\x81", len(audio) // 2)
    while audio[at - 3] != 0xA3:
        at = audio.index(b"\x81", at + 1)
    decoded = await pool.decode(audio[:at] + b"\x3f" + audio[at + 1 :])
    assert decoded.info.truncated


@pytest.mark.parametrize("times", [0.3, 2, 100])
async def test_an_mp3_with_all_its_bytes_is_whole_whatever_number_of_frames_it_claims(
    pool: DecoderPool, times: float
) -> None:
    """Tools that cut or join files keep the old count; the same file without its end is told."""
    audio = files.encode("mp3", "libmp3lame", 44_100, "mono", signal(3, 44_100))
    at = audio.index(b"Info") + 8
    frames = round(int.from_bytes(audio[at : at + 4]) * times)
    false = audio[:at] + frames.to_bytes(4) + audio[at + 4 :]
    decoded = await pool.decode(false)
    assert sounds_at(decoded, bursts(3))
    assert not decoded.info.truncated
    assert times < 1 or (await pool.decode(false[: len(false) // 2])).info.truncated


@pytest.mark.parametrize(
    "name", ["wav-s16", "ogg-opus", "webm-opus", "m4a-aac", "mp3", "adts-aac", "amr", "aiff", "caf"]
)
@pytest.mark.parametrize("before", [b"\r\n", b"\xef\xbb\xbf", bytes(100), b"ID3\x03\0\0\0\0\0\x14" + bytes(20)])
async def test_scraps_and_tags_in_front_of_a_file_are_passed_over(pool: DecoderPool, name: str, before: bytes) -> None:
    """A form built by hand leaves a line end, an editor a byte order mark, a music program a tag."""
    audio = files.encoded(name, 2)
    plain, late = await pool.decode(audio), await pool.decode(before + audio)
    assert late.info.duration == pytest.approx(plain.info.duration, abs=0.1)
    assert not late.info.truncated
