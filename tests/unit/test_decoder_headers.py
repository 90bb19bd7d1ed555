"""What is read from a file's first bytes, without a decoder, is right for files as their writers leave them."""

import pytest

from sttd.consumer.audio import headers
from sttd.consumer.audio.structure.tags import id3_bytes
from tools.audio import files


@pytest.mark.parametrize("name", files.TAKEN)
def test_every_kind_that_is_taken_is_recognised_by_its_first_bytes(name: str) -> None:
    """A broken file of a known kind is "damaged", not "unknown format"."""
    assert headers.looks_like_audio(files.encoded(name, 0.2))


@pytest.mark.parametrize(
    "audio", [b"", b"x", b"ffconcat version 1.0\n", b"\x89PNG\r\n", b"%PDF-1.7", "Привет".encode()]
)
def test_other_bytes_are_not_taken_for_audio(audio: bytes) -> None:
    """A novel, a picture or nothing at all is an unknown format."""
    assert not headers.looks_like_audio(audio)


def test_an_mp3_with_a_frame_count_knows_its_duration_behind_a_tag_of_any_size() -> None:
    """Cover art of 300 kB before the sound does not hide the encoder's own count of frames."""
    mp3 = files.encoded("mp3", 0.2)
    bare = mp3[id3_bytes(mp3) :]
    cover = b"ID3\x04\x00\x00" + bytes([0, 18, 39, 96]) + bytes((18 << 14) + (39 << 7) + 96)
    assert id3_bytes(cover) == len(cover) == 300_010
    assert not headers.duration_is_guessed(cover + bare, "mp3")
    assert headers.duration_is_guessed(cover + bare.replace(b"Info", b"    "), "mp3")
