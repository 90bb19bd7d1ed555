"""Every accepted kind of file is decoded as by stock faster-whisper; damage is reported, refusals have their code."""

import base64
import bz2
import contextlib
import gzip
import io
import lzma
import random
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import pytest_asyncio
from faster_whisper.audio import decode_audio

from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from sttd.consumer.pcm import floats
from sttd.samples import Sample, samples
from sttd.schemas.codes import ErrorCode
from tests.support.tracks import Piece, Track, muxed
from tools.audio import damage, files

LIMITS = DecodeLimits(max_audio_seconds=100, decode_seconds=20)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[DecoderPool]:
    """One child for the whole module: each file also proves that the one before left it in order."""
    pool = DecoderPool(1, LIMITS)
    await pool.start()
    yield pool
    restarts = repr(pool)
    await pool.close()
    assert "restarts=0" in restarts, "no file of this module may cost a child"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("name", files.TAKEN)
async def test_each_kind_of_file_decodes_to_the_samples_that_faster_whisper_gives(pool: DecoderPool, name: str) -> None:
    """Sample for sample: swapping our decoder for the stock one changes no transcript."""
    audio = files.encoded(name)
    decoded = await pool.decode(audio)
    expected = decode_audio(io.BytesIO(audio))
    assert decoded.pcm.dtype == np.int16
    assert np.array_equal(floats(decoded.pcm), expected)
    assert decoded.info.duration == len(expected) / 16_000
    assert not decoded.info.truncated
    assert decoded.info.bad_packets == 0


SHAPES = [("flac", "flac", rate, "mono") for rate in (8_000, 11_025, 22_050, 48_000, 96_000, 192_000)] + [
    (container, encoder, 48_000, layout)
    for container, encoder, layouts in (
        ("wav", "pcm_s16le", "mono stereo 2.1 quad 5.0 5.1 6.1"),
        ("mp4", "aac", "3.0 5.1"),
    )
    for layout in layouts.split()
]


@pytest.mark.parametrize(("container", "encoder", "rate", "layout"), SHAPES)
async def test_any_rate_and_layout_decodes_to_the_samples_that_faster_whisper_gives(
    pool: DecoderPool, container: str, encoder: str, rate: int, layout: str
) -> None:
    """8 to 192 kHz, mono to 6.1, with nothing in the low-frequency channel, which FFmpeg leaves out."""
    mixed = [channel.name != "LFE" for channel in decode_layout(layout)]
    audio = files.encode(container, encoder, rate, layout, np.outer(mixed, files.tone(1, rate)).astype(np.float32))
    decoded = await pool.decode(audio)
    assert np.array_equal(floats(decoded.pcm), decode_audio(io.BytesIO(audio)))
    assert decoded.info.channels == len(decode_layout(layout))
    assert abs(decoded.info.duration - 1) < 0.05 if encoder == "aac" else abs(decoded.info.duration - 1) < 0.001


def decode_layout(layout: str) -> tuple[Any, ...]:
    """The channels of a layout."""
    return av.AudioLayout(layout).channels


async def test_eight_channels_decode_too(pool: DecoderPool) -> None:
    """7.1 in a WAV written by hand, each channel but the low-frequency one with noise of its own."""
    noise = np.random.default_rng(3).integers(-20_000, 20_000, (48_000, 8), dtype=np.int16)
    noise[:, 3] = 0
    audio = files.wav(noise.tobytes(), rate=48_000, channels=8)
    decoded = await pool.decode(audio)
    assert np.array_equal(floats(decoded.pcm), decode_audio(io.BytesIO(audio)))
    assert (decoded.info.channels, decoded.info.duration) == (8, 1.0)


async def test_a_video_note_gives_its_sound(pool: DecoderPool) -> None:
    """Its picture is never decoded: no video decoder is on the list."""
    audio = damage.video(2)
    decoded = await pool.decode(audio)
    assert np.array_equal(floats(decoded.pcm), decode_audio(io.BytesIO(audio)))
    assert (decoded.info.format, decoded.info.codec, decoded.info.truncated) == ("mov", "aac", False)


@pytest.mark.parametrize(
    ("container", "encoder"), [("avi", "libmp3lame"), ("wv", "wavpack"), ("mpegts", "aac"), ("ac3", "ac3")]
)
async def test_containers_outside_the_list_are_refused_by_name(pool: DecoderPool, container: str, encoder: str) -> None:
    """AVI, MPEG-TS and others: each demuxer less is less code that untrusted bytes reach."""
    audio = files.encode(container, encoder, 44_100, "stereo", files.tone(1, 44_100))
    assert await refusal(pool, audio) == ErrorCode.UNSUPPORTED_MEDIA


async def test_windows_media_is_refused(pool: DecoderPool) -> None:
    """By its container: FFmpeg's readers of it are large and old, and no phone writes it."""
    assert (
        await refusal(pool, bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C") + bytes(5000))
        == ErrorCode.UNSUPPORTED_MEDIA
    )


async def test_a_codec_outside_the_list_is_refused_before_it_is_opened(pool: DecoderPool) -> None:
    """A taken container may hold what is not taken: here AC-3 in Matroska."""
    audio = files.encode("matroska", "ac3", 44_100, "stereo", files.tone(1, 44_100))
    assert await refusal(pool, audio) == ErrorCode.UNSUPPORTED_MEDIA


async def test_a_long_file_decodes_in_pieces_to_the_same_samples(pool: DecoderPool) -> None:
    """Pieces of half a million samples join without a seam."""
    audio = files.encode("wav", "pcm_s16le", 48_000, "mono", files.tone(40, 48_000))
    assert np.array_equal(floats((await pool.decode(audio)).pcm), decode_audio(io.BytesIO(audio)))


async def test_what_was_found_in_the_file_is_reported(pool: DecoderPool) -> None:
    """The reply holds container, codec, rate and channels of the source, not of the PCM."""
    info = (await pool.decode(files.encoded("m4a-aac"))).info
    assert (info.format, info.codec, info.sample_rate, info.channels) == ("mov", "aac", 44_100, 2)
    info = (await pool.decode(files.encoded("ogg-opus"))).info
    assert (info.format, info.codec, info.sample_rate, info.channels) == ("ogg", "opus", 48_000, 1)


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.file)
async def test_the_sample_notes_decode_as_their_manifest_says(pool: DecoderPool, sample: Sample) -> None:
    """The expected result of each demo note, as far as the decoder goes: sound, or the code named there."""
    audio = sample.path.read_bytes()
    if sample.expect in {"text", "no_speech"}:
        info = (await pool.decode(audio)).info
        assert (info.codec, info.channels, info.truncated, info.bad_packets) == ("opus", 1, False, 0)
    else:
        assert await refusal(pool, audio) == sample.expect


SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
DASH = b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>'
REFUSED = {
    "ffconcat": (b"ffconcat version 1.0\nfile secret.wav\n", ErrorCode.UNSUPPORTED_MEDIA),
    "sdp": (SDP, ErrorCode.UNSUPPORTED_MEDIA),
    "hls": (b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nsecret.ts\n", ErrorCode.UNSUPPORTED_MEDIA),
    "dash": (DASH, ErrorCode.UNSUPPORTED_MEDIA),
    "playlist": (b"#EXTM3U\nhttp://127.0.0.1/x.mp3\n", ErrorCode.UNSUPPORTED_MEDIA),
    "prose": (b"hello " * 1000, ErrorCode.UNSUPPORTED_MEDIA),
    "one byte": (b"x", ErrorCode.UNSUPPORTED_MEDIA),
    "random bytes": (random.Random(1).randbytes(200_000), ErrorCode.UNSUPPORTED_MEDIA),
    "1 Hz": (files.wav(b"\x80" * 600, rate=1, bits=8), ErrorCode.UNSUPPORTED_MEDIA),
    "2 GHz": (files.wav(bytes(6000), rate=2**31 - 1), ErrorCode.UNSUPPORTED_MEDIA),
    "nine channels": (files.wav(bytes(1800), channels=9), ErrorCode.UNSUPPORTED_MEDIA),
    "video without sound": (files.silent_video(), ErrorCode.NO_AUDIO_STREAM),
    "WAV header alone": (files.wav(b""), ErrorCode.AUDIO_EMPTY),
    "no bytes": (b"", ErrorCode.AUDIO_EMPTY),
    "MP4 without an index": (files.encoded("m4a-aac")[:3000], ErrorCode.AUDIO_UNREADABLE),
    "declared too long": (files.wav(bytes(4_000_000), rate=4000, bits=8), ErrorCode.AUDIO_TOO_LONG),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_each_refusal_has_the_code_that_tells_the_caller_what_is_wrong(pool: DecoderPool, name: str) -> None:
    """Text that would make FFmpeg open files, bombs, wrong and broken files: each gets its code and costs no child."""
    audio, code = REFUSED[name]
    assert await refusal(pool, audio) == code


@pytest.mark.parametrize(
    "text",
    [
        b"<html><body>404 Not Found</body></html>",
        '{"ok": false, "description": "файл недоступен"}'.encode(),
        base64.b64encode(files.encoded("ogg-opus")),
        b"/tmp/note.ogg",
        b"#EXTM3U\nhttp://127.0.0.1/x.mp3\n",
    ],
)
async def test_text_in_place_of_a_file_is_told_as_what_it_is(pool: DecoderPool, text: bytes) -> None:
    """The speaker cannot help it: a bot has sent the page of an error, base64 or a path."""
    with pytest.raises(AudioRejected, match=r"the bytes are text .* send the file's own bytes"):
        await pool.decode(text)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
async def test_a_packed_file_is_told_as_one(pool: DecoderPool, pack: Callable[[bytes], bytes]) -> None:
    """The `compression` of kombu, and proxies, do it on the way; nobody has to record anything again."""
    with pytest.raises(AudioRejected, match="the bytes are compressed or an archive"):
        await pool.decode(pack(files.encoded("ogg-opus")))


FRAGMENTS = muxed(
    "mp4",
    "aac",
    44_100,
    [Track("mono", [Piece(0.0, files.tone(2, 44_100)[None])])],
    options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
)


@pytest.mark.parametrize(
    ("whole", "begins", "before"),
    [
        (files.encoded("webm-opus"), b"\x1f\x43\xb6\x75", 0),
        (FRAGMENTS, b"moof", 4),
        (files.encoded("ogg-opus"), b"OggS", 0),
    ],
    ids=["WebM", "MP4", "Ogg"],
)
async def test_a_later_piece_of_a_recording_is_told_as_one(
    pool: DecoderPool, whole: bytes, begins: bytes, before: int
) -> None:
    """A page that sends each piece of its recorder as a file of its own has all but the first one refused."""
    with pytest.raises(AudioRejected, match=r"a later piece of a recording, .* join the pieces"):
        await pool.decode(whole[whole.index(begins, 1) - before :])


async def test_a_file_that_names_another_file_does_not_open_it(pool: DecoderPool, tmp_path: Path) -> None:
    """An ffconcat text with an absolute path to a sound file gets a refusal, not that file's sound."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(files.encoded("wav-s16"))
    assert await refusal(pool, f"ffconcat version 1.0\nfile '{secret}'\n".encode()) == ErrorCode.UNSUPPORTED_MEDIA


async def test_a_file_that_hides_its_length_is_stopped_while_decoding(pool: DecoderPool) -> None:
    """A raw AAC stream declares nothing that counts; it is refused when the sound itself passes the limit."""
    audio = files.encode("adts", "aac", 16_000, "mono", files.tone(1, 16_000)) * 105
    assert await refusal(pool, audio) == ErrorCode.AUDIO_TOO_LONG


@pytest.mark.parametrize("name", ["ogg-opus", "webm-opus", "mp3", "m4a-aac", "adts-aac"])
async def test_damage_in_the_middle_loses_the_damage_only_and_is_said(pool: DecoderPool, name: str) -> None:
    """Stock faster-whisper ends at the first bad packet with success; here the rest is decoded, the loss reported."""
    audio = bytearray(files.encoded(name, 8))
    third = len(audio) // 3
    audio[third : third + 1000] = random.Random(5).randbytes(1000)
    info = (await pool.decode(bytes(audio))).info
    assert info.duration > 5
    assert info.truncated


@pytest.mark.parametrize("name", ["ogg-opus", "webm-opus", "mp3", "flac", "wav-s16"])
async def test_a_file_cut_in_half_is_never_a_plain_success(pool: DecoderPool, name: str) -> None:
    """Half a note transcribed is useful; half a note passed off as the whole is not."""
    audio = files.encoded(name, 8)
    info = (await pool.decode(audio[: len(audio) // 2])).info
    assert info.duration < 6
    assert info.truncated


async def test_a_wav_whose_writer_could_not_know_its_size_is_whole(pool: DecoderPool) -> None:
    """A WAV made in a pipe announces 4 GiB; that is a habit of its writer, not a loss."""
    assert not (await pool.decode(files.wav(bytes(32_000), data_size=0xFFFFFFFF))).info.truncated
    assert not (await pool.decode(files.wav(bytes(32_000), data_size=0))).info.truncated
    assert (await pool.decode(files.wav(bytes(32_000), data_size=64_000))).info.truncated


async def test_a_change_of_shape_inside_one_stream_is_decoded_through(pool: DecoderPool) -> None:
    """Raw AAC that goes from two channels to one and changes its rate: all is decoded, nothing read out of bounds."""
    stereo = files.encode("adts", "aac", 44_100, "stereo", files.tone(2, 44_100))
    mono = files.encode("adts", "aac", 16_000, "mono", files.tone(2, 16_000))
    info = (await pool.decode(stereo + mono)).info
    assert info.duration > 3.9


@pytest.mark.parametrize("which", ["middle", "last"])
async def test_a_lost_page_of_ogg_is_told_wherever_it_was(pool: DecoderPool, which: str) -> None:
    """FFmpeg drops a page without a word, and takes the page before the last for the end."""
    pages = files.ogg_pages(files.encoded("ogg-vorbis", 10))
    del pages[{"middle": -2, "last": -1}[which]]
    info = (await pool.decode(b"".join(pages))).info
    assert info.duration < 9.5
    assert info.truncated


async def test_one_damaged_byte_in_ogg_is_told(pool: DecoderPool) -> None:
    """The checksum of the page no longer holds."""
    audio = bytearray(files.encoded("ogg-vorbis", 10))
    audio[-2000] ^= 1
    assert (await pool.decode(bytes(audio))).info.truncated


async def test_bytes_after_a_good_beginning_never_break_the_child(pool: DecoderPool) -> None:
    """Some hundred damaged files: each is decoded or refused by a code, by one and the same child."""
    rng = random.Random(7)
    whole = [files.encoded(name, 0.3) for name in ("ogg-opus", "mp3", "m4a-aac", "flac", "webm-opus", "wav-s24")]
    for _ in range(120):
        audio = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 40)):
            struct.pack_into("B", audio, rng.randrange(len(audio)), rng.randrange(256))
        with contextlib.suppress(AudioRejected):
            assert (await pool.decode(bytes(audio))).info.duration > 0


async def refusal(pool: DecoderPool, audio: bytes) -> ErrorCode:
    """The code with which a file is refused."""
    with pytest.raises(AudioRejected) as caught:
        await pool.decode(audio)
    return caught.value.code
