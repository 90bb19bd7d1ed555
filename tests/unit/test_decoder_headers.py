"""What is read from a file's own bytes, without a decoder, is right for files as their writers leave them."""

from __future__ import annotations

import pytest

from sttd.consumer.audio import headers
from tests.hostile import containers
from tests.support import audio as files

NAMES = {"webm": "matroska", "m4a": "mov", "3gp": "mov", "adts": "aac"}


@pytest.mark.parametrize("name", files.TAKEN)
def test_every_kind_that_is_taken_is_recognised_by_its_first_bytes(name: str) -> None:
    """A broken file of a known kind is told "damaged", not "unknown format"; and none is cut as its writer left it."""
    audio, kind = files.encoded(name, 0.2), name.partition("-")[0]
    assert headers.looks_like_audio(audio)
    assert not headers.is_cut(audio, NAMES.get(kind, kind))


@pytest.mark.parametrize(
    "audio", [b"", b"x", b"ffconcat version 1.0\n", b"\x89PNG\r\n", b"%PDF-1.7", "Привет".encode()]
)
def test_other_bytes_are_not_taken_for_audio(audio: bytes) -> None:
    """A novel, a picture or nothing at all is an unknown format."""
    assert not headers.looks_like_audio(audio)


def test_an_mp3_with_a_frame_count_knows_its_duration_behind_a_tag_of_any_size() -> None:
    """Cover art of 300 kB before the sound does not hide the encoder's own count of frames."""
    mp3 = files.encoded("mp3", 0.2)
    bare = mp3[headers._id3_bytes(mp3) :]
    cover = b"ID3\x04\x00\x00" + bytes([0, 18, 39, 96]) + bytes((18 << 14) + (39 << 7) + 96)
    assert headers._id3_bytes(cover) == len(cover) == 300_010
    assert not headers.duration_is_guessed(cover + bare, "mp3")
    assert headers.duration_is_guessed(cover + bare.replace(b"Info", b"    "), "mp3")


def test_an_ogg_file_that_ends_inside_its_last_page_is_cut() -> None:
    """FFmpeg drops the half page and takes the page before for the end."""
    ogg = files.encoded("ogg-opus")
    assert headers.is_cut(ogg[:-1], "ogg")
    assert headers.is_cut(ogg[: -len(files.ogg_pages(ogg)[-1]) + 20], "ogg")


@pytest.mark.parametrize(
    ("announced", "cut"),
    [(8000, False), (8040, False), (16_000, True), (4_000_000_000, True), (0, False), (2**32 - 1, False)],
)
def test_a_wav_with_less_data_than_announced_is_cut_unless_its_writer_could_not_know(announced: int, cut: bool) -> None:
    """Pipes leave 0 or 4 GiB - 1 in the header; any other size beyond the file's end is a loss."""
    assert headers.is_cut(files.wav(bytes(8000), data_size=announced), "wav") is cut


def test_an_ogg_stream_that_begins_again_under_its_number_is_not_whole() -> None:
    """FFmpeg hears the first beginning only; hundreds of them would only cost time."""
    ogg = files.encoded("ogg-opus", 0.2)
    assert headers.is_cut(ogg + ogg, "ogg")
    assert not headers.is_restarting_ogg(ogg + ogg)
    assert headers.is_restarting_ogg(ogg * 20)


def test_ogg_streams_one_after_the_other_are_whole() -> None:
    """A chain is legal where each link has a number of its own."""
    links = [containers.opus_silence(1, serial=serial) for serial in (1, 2, 3)]
    assert not headers.is_cut(b"".join(links), "ogg")
    assert headers.is_cut(b"".join(links)[:-1], "ogg")
