"""A file's own lengths, as its writers leave them: where it ends, what is missing, what is unread."""

import struct

import numpy as np
import pytest

from sttd.consumer.audio import structure
from sttd.consumer.audio.structure import ogg as ogg_pages
from sttd.consumer.audio.structure.part import Length
from tests.support import tracks
from tools.audio import containers as c
from tools.audio import files

PROVEN = {"aiff", "caf", "mp3", "ogg-opus", "ogg-vorbis", "w64", "webm-opus", "matroska-aac"} | {
    name for name in files.TAKEN if name.startswith("wav")
}
TAG = b"TAG" + b"title".ljust(125, b"\0")
CLUSTER = b"\x1f\x43\xb6\x75"
LOUD = bytes(range(1, 256)) * 300


def length(audio: bytes) -> Length:
    """The verdict of the first file among the bytes."""
    return structure.of(audio).parts[0].length


@pytest.mark.parametrize("name", files.TAKEN)
def test_a_file_as_its_writer_left_it_is_one_file_and_whole(name: str) -> None:
    """Where the container's lengths prove it, else where a duration must decide.

    Nothing is unread, and the bytes are not copied.
    """
    audio = files.encoded(name, 0.2)
    found = structure.of(audio)
    (part,) = found.parts
    assert part.length is (Length.WHOLE if name in PROVEN else Length.ELSEWHERE)
    assert part.of(audio) is audio
    assert not found.unread


@pytest.mark.parametrize("name", [name for name in files.TAKEN if name != "adts-aac"])
def test_two_files_joined_are_two(name: str) -> None:
    """Bots join what they get; a demuxer stops behind the first, or stumbles over the head of the second."""
    audio = files.encoded(name, 0.2)
    found = structure.of(audio + audio)
    assert [(part.start, part.end) for part in found.parts] == [(0, len(audio)), (len(audio), 2 * len(audio))]
    assert not found.unread


@pytest.mark.parametrize("first", files.TAKEN)
@pytest.mark.parametrize("second", ["ogg-opus", "wav-s16", "flac", "m4a-aac", "webm-opus", "amr", "caf", "aiff", "w64"])
def test_files_of_two_formats_joined_are_two(first: str, second: str) -> None:
    """A stream without an outer length ends where the next file begins; a decoder would hear noise, or nothing."""
    one, other = files.encoded(first, 0.2), files.encoded(second, 0.2)
    found = structure.of(one + other)
    assert [part.start for part in found.parts] == [0, len(one)]
    assert found.parts[0].end == len(one)
    assert not found.unread


@pytest.mark.parametrize("between", [b"\r\n--a-form's-boundary\r\nContent-Type: audio/ogg\r\n\r\n", bytes(2000)])
@pytest.mark.parametrize("name", ["ogg-opus", "webm-opus", "m4a-aac"])
def test_what_is_no_sound_between_two_files_hides_neither(name: str, between: bytes) -> None:
    """Other bytes between them are told, and both files are read all the same."""
    audio = files.encoded(name, 0.2)
    for gap, unread in ((between, False), (LOUD, True)):
        found = structure.of(audio + gap + audio)
        assert [part.start for part in found.parts] == [0, len(audio + gap)]
        assert found.unread is unread


def ape(size: int, *, header: bool) -> bytes:
    """An APE tag with a picture of so many bytes."""
    item = struct.pack("<II", size, 2) + b"Cover Art (Front)\0" + LOUD[:size]
    ends = (struct.pack("<IIII8x", 2000, len(item) + 32, 1, flags | header << 31) for flags in (1 << 29, 0))
    first, last = (b"APETAGEX" + end for end in ends)
    return (first if header else b"") + item + last


def id3(size: int, flags: int) -> bytes:
    """An ID3v2 tag with so many bytes in it; flag 16: with a footer."""
    sizes = bytes([0, size >> 14, size >> 7 & 127, size & 127])
    footer = b"3DI\x04\0" + bytes([flags]) + sizes if flags else b""
    return b"ID3\x04\0" + bytes([flags]) + sizes + LOUD[:size] + footer


LYRICS = b"LYRICSBEGINLYR00003la\n000022LYRICS200"


@pytest.mark.parametrize("name", ["mp3", "adts-aac"])
@pytest.mark.parametrize(
    "behind",
    [
        ape(20_000, header=True),
        ape(20_000, header=False),
        id3(30_000, 16),
        id3(30_000, 0),
        LYRICS + TAG,
        ape(500, header=True) + LYRICS + TAG,
        bytes(3000) + TAG,
    ],
    ids=["APE", "APE without a header", "ID3 with a footer", "ID3", "lyrics", "three", "zeros"],
)
def test_no_tag_behind_frames_is_sound(name: str, behind: bytes) -> None:
    """Players add them, pictures and all; what is left are the frames, to the last byte of the last one."""
    audio = files.encoded(name, 0.2)
    (part,) = structure.of(audio + behind).parts
    assert (part.end, part.length) == (len(audio), length(audio))
    assert not structure.of(audio + behind).unread


@pytest.mark.parametrize("rate", [44_100, 22_050, 11_025])
@pytest.mark.parametrize("count", [64, 5000])
def test_zeros_behind_mp3_are_cut_off_at_its_last_frame(rate: int, count: int) -> None:
    """Whose own zeros stay: encoders fill a frame of silence up with them."""
    audio = files.encode("mp3", "libmp3lame", rate, "mono", np.zeros(rate, np.float32))[:-20] + bytes(20)
    (part,) = structure.of(audio + bytes(count)).parts
    assert part.end == len(audio)


@pytest.mark.parametrize("kind", [b"XMP_", b"\xa9xyz", b"A B ", b"uuid"])
@pytest.mark.parametrize("whole", [True, False], ids=["with a size", "to the end"])
def test_a_box_of_any_name_behind_an_mp4_is_no_sound(kind: bytes, whole: bool) -> None:
    """Cameras put places and pictures there; the last box may have no size."""
    box = c.box(kind, LOUD)
    cut = structure.of(files.encoded("m4a-aac", 0.2) + c.box(b"free", bytes(2000))[:1500])
    assert (len(cut.parts), cut.unread) == (1, False)
    found = structure.of(files.encoded("m4a-aac", 0.2) + (box if whole else bytes(4) + box[4:]))
    assert len(found.parts) == 1
    assert not found.unread


@pytest.mark.parametrize("name", sorted(PROVEN | {"m4a-aac", "3gp-amr"}))
@pytest.mark.parametrize("behind", [b"\r\n", TAG, bytes(5000), b'{"a log": "line"}\n' * 100])
def test_tags_padding_and_text_behind_a_file_are_no_sound(name: str, behind: bytes) -> None:
    """They are neither read as sound nor reported as a loss."""
    audio = files.encoded(name, 0.2)
    found = structure.of(audio + behind)
    assert len(found.parts) == 1
    assert found.parts[0].length in {Length.WHOLE, Length.ELSEWHERE}
    assert found.parts[0].patches == ()
    assert not found.unread


@pytest.mark.parametrize("name", ["ogg-opus", "webm-opus", "m4a-aac"])
def test_other_bytes_behind_a_file_are_told_as_unread(name: str) -> None:
    """They may have been sound; nothing will read them."""
    assert structure.of(files.encoded(name, 0.2) + LOUD).unread


@pytest.mark.parametrize("container", ["wav", "w64", "aiff", "caf"])
@pytest.mark.parametrize("header", tracks.HEADERS)
def test_a_size_that_was_never_filled_in_is_no_length(container: str, header: str) -> None:
    """All that is there is sound, and whether it is all that was is unknown."""
    encoder = "pcm_s16be" if container == "aiff" else "pcm_s16le"
    whole = files.encode(container, encoder, 16_000, "mono", tracks.signal(2, 16_000))
    audio = tracks.unfinished(container, whole, header)
    (part,) = structure.of(audio).parts
    assert part.length is Length.UNTOLD
    assert part.end == len(audio)


@pytest.mark.parametrize(
    ("announced", "expected"),
    [
        (8_000, Length.WHOLE),
        (8_400, Length.WHOLE),
        (32_000, Length.CUT),
        (2**29, Length.CUT),
        (2**29 + 1, Length.UNTOLD),
        (2_000_000_000, Length.UNTOLD),
        (2**32 - 1, Length.UNTOLD),
        (0, Length.UNTOLD),
    ],
)
def test_a_wav_with_less_sound_than_announced_is_cut_unless_no_note_is_that_long(
    announced: int, expected: Length
) -> None:
    """Writers in a pipe leave 0, 4 GiB, 2,000,000,000; any smaller size beyond the file's end is a loss."""
    assert length(files.wav(bytes(8_000), data_size=announced)) is expected


def test_a_large_wav_keeps_its_size_in_a_chunk_of_its_own() -> None:
    """RF64: the usual field is all ones, and that is no placeholder there."""
    plain = files.wav(LOUD, data_size=2**32 - 1)
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, 0, len(LOUD), 0, 0)
    audio = b"RF64" + plain[4:12] + sizes + plain[12:]
    assert length(audio) is Length.WHOLE
    assert length(audio[:-40_000]) is Length.CUT
    assert length(audio + LOUD) is Length.UNTOLD
    for size in (2**32 - 1, 0, len(LOUD)):  # never filled in, or only where FFmpeg does not look
        empty = b"RF64" + plain[4:12] + sizes[:16] + bytes(20) + plain[12:36] + b"data" + struct.pack("<I", size)
        (part,) = structure.of(empty + LOUD).parts
        assert (part.length, len(part.patches)) == (Length.UNTOLD, 1)


@pytest.mark.parametrize("between", [b"", b"LIST" + struct.pack("<I", 4) + b"INFO"])
def test_sound_in_a_second_chunk_is_told_as_unread(between: bytes) -> None:
    """FFmpeg reads one `data` chunk of a WAV; where it saw two it read the second one only."""
    first = files.wav(LOUD[:-1] + b"\0")
    found = structure.of(first + between + b"data" + struct.pack("<I", len(LOUD)) + LOUD)
    assert [(part.end, part.length) for part in found.parts] == [(len(first) + len(between), Length.WHOLE)]
    assert found.unread


@pytest.mark.parametrize("magic", [b"RIFF", b"BW64", b"RIFX"])
@pytest.mark.parametrize("byte_rate", [32_000, 0, 2**28])
def test_every_name_of_wav_is_walked_whatever_byte_rate_it_claims(magic: bytes, byte_rate: int) -> None:
    """The header counts a quarter of the sound, as a first flush leaves it, and its byte rate may be anything."""
    order = ">" if magic == b"RIFX" else "<"
    shape = struct.pack(f"{order}4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, byte_rate, 2, 16)
    sound = LOUD[:64_000]
    audio = magic + bytes(4) + b"WAVE" + shape + struct.pack(f"{order}4sI", b"data", 16_000) + sound
    (part,) = structure.of(audio).parts
    assert (part.end, part.length) == (len(audio), Length.UNTOLD)
    assert struct.unpack(f"{order}I", part.of(audio)[40:44]) == (64_000,)


def test_an_ogg_file_that_ends_inside_its_last_page_is_cut() -> None:
    """FFmpeg drops the half page and takes the page before for the end."""
    ogg = files.encoded("ogg-opus")
    assert length(ogg[:-1]) is Length.CUT
    assert length(ogg[: -len(files.ogg_pages(ogg)[-1]) + 20]) is Length.CUT


def test_an_ogg_stream_that_begins_again_and_again_under_its_number_is_known() -> None:
    """Hundreds of beginnings would only cost time."""
    ogg = files.encoded("ogg-opus", 0.2)
    assert not ogg_pages.is_restarting(ogg + ogg)
    assert ogg_pages.is_restarting(ogg * 20)


def test_each_link_of_an_ogg_chain_is_judged_alone() -> None:
    """A chain is legal; one that ends early is cut in its last link."""
    links = b"".join(c.opus_silence(1, serial=serial) for serial in (1, 2, 3))
    assert [part.length for part in structure.of(links).parts] == [Length.WHOLE] * 3
    assert [part.length for part in structure.of(links[:-1]).parts] == [Length.WHOLE, Length.WHOLE, Length.CUT]


def stream(blocks: int, *, duration: bool = False) -> bytes:
    """WebM as a browser records it: its outer sizes open, a cluster for each block."""
    block = CLUSTER + b"\x01" + b"\xff" * 7 + c.number("E7", 0) + c.element("A3", b"\x81\0\0\x80" + bytes(100))
    info = c.element("1549A966", c.element("4489", struct.pack(">d", 1000.0)) if duration else b"")
    return (
        c.element("1A45DFA3", c.element("4282", b"webm"))
        + b"\x18\x53\x80\x67\x01"
        + b"\xff" * 7
        + info
        + block * blocks
    )


def test_a_stream_of_webm_is_cut_where_it_ends_inside_a_block() -> None:
    """Between two blocks it is unknown; inside one its own size shows it."""
    assert length(stream(3)) is Length.UNTOLD
    assert length(stream(3)[:-10]) is Length.CUT
    assert length(stream(3, duration=True)) is Length.ELSEWHERE
    assert length(stream(3, duration=True)[:-10]) is Length.EARLY


def test_damage_in_webm_is_found_where_elements_no_longer_follow_each_other() -> None:
    """FFmpeg searches for the next cluster and reports nothing: the hole in the times is not a pause of the speaker."""
    audio = stream(6)
    assert length(audio[:200] + LOUD[:700] + audio[200:]) is Length.CUT


def test_a_webm_that_grew_behind_its_size_is_opened() -> None:
    """A segment's size that was written at the first flush would end the file there."""
    audio = files.encoded("webm-opus", 8)
    at = audio.index(b"\x18\x53\x80\x67") + 4
    second = audio.index(CLUSTER, audio.index(CLUSTER) + 1)
    early = c.patched(audio, at, (1 << 56 | second - at - 8).to_bytes(8))
    (part,) = structure.of(early).parts
    assert part.patches == ((at, b"\x01" + b"\xff" * 7),)
    assert part.end == len(audio)


def test_a_stream_of_mp4_is_cut_where_it_ends_inside_a_fragment() -> None:
    """Each fragment has an index of its own; FFmpeg leaves the last one out and reports nothing."""
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
    sound = [tracks.Track("mono", [tracks.Piece(0.0, tracks.signal(3, 16_000)[None])])]
    audio = tracks.muxed("mp4", "aac", 16_000, sound, options=options)
    end = audio.rindex(b"mfra") - 4
    last = audio.rindex(b"moof") - 4
    assert length(audio[:end]) is Length.ELSEWHERE
    assert length(audio[:last]) is Length.ELSEWHERE
    assert length(audio[: end - 20]) is Length.CUT
    assert length(audio[: last + 20]) is Length.CUT


def test_in_webm_an_element_larger_than_the_file_is_damage_where_clusters_follow() -> None:
    """A demuxer goes on at the next cluster, and what it lost before looks like a hole in time."""
    audio = stream(3, duration=True)
    block = audio.index(CLUSTER, audio.index(CLUSTER) + 1) + 25
    assert length(c.patched(audio, block, b"\xec\x08" + b"\xff" * 4)) is Length.CUT
