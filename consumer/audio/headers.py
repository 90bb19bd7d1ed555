"""What a file's first and last bytes say about it, read without any decoder.

Imports the standard library only; pure. FFmpeg answers "invalid data" both to a broken MP4 and to a novel, and does not
notice that the end of a WAV or Ogg file is missing; these few checks do.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections import Counter
from typing import Final

_MAGIC: Final = (
    (0, b"OggS"),
    (0, b"fLaC"),
    (0, b"ID3"),
    (0, b"RIFF"),
    (0, b"RF64"),
    (0, b"riff\x2e\x91\xcf\x11"),  # Wave64
    (0, b"FORM"),
    (0, b"caff"),
    (0, b"#!AMR"),
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
)
_MPEG_SYNC: Final = 0xFFE0
_ID3_HEADER: Final = struct.Struct(">3sHB4B")
_UNKNOWN_SIZES: Final = (range(1), range(2**31 - 2**16, 2**31 + 1), range(2**32 - 2**16, 2**32))
"""Writers that cannot seek back leave 0, or a size at 2 or 4 GiB, in a WAV header; it says nothing."""
_MISSING: Final = 0.01
"""Share of a WAV file's data that may be missing before it counts as cut: the last block may be short."""
_OGG_HEADER: Final = 27
_OGG_BEGINNING: Final = rb"OggS\0[\2\6]"
_MOST_BEGINNINGS: Final = 16
_OGG_FIRST, _OGG_LAST = 2, 4
_ALL_ONES: Final = 0xFFFFFFFF
_MIRROR: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def looks_like_audio(audio: bytes) -> bool:
    """Whether the bytes begin as one of the formats that we take does."""
    return any(audio.startswith(magic, at) for at, magic in _MAGIC) or _is_mpeg_sync(audio)


def _is_mpeg_sync(audio: bytes) -> bool:
    """An MP3 or ADTS frame header: eleven set bits."""
    return int.from_bytes(audio[:2]) & _MPEG_SYNC == _MPEG_SYNC


def duration_is_guessed(audio: bytes, container: str) -> bool:
    """Whether FFmpeg can only guess this file's duration, from its size and a bit rate; then it proves nothing."""
    if container == "mp3":
        return not any(tag in audio[_id3_bytes(audio) :][:4096] for tag in (b"Xing", b"Info", b"VBRI"))
    return container in {"aac", "amr"}


def _id3_bytes(audio: bytes) -> int:
    """Length of an ID3v2 tag (seven bits a byte), 0 without one."""
    if not audio.startswith(b"ID3") or len(audio) < _ID3_HEADER.size:
        return 0
    length: tuple[int, ...] = _ID3_HEADER.unpack_from(audio)[3:]
    return _ID3_HEADER.size + sum(seven << shift for seven, shift in zip(length, (21, 14, 7, 0), strict=True))


def is_cut(audio: bytes, container: str) -> bool:
    """Whether the file ends before its own structure says so."""
    if container == "wav":
        return _wav_is_cut(audio)
    return container == "ogg" and _ogg_is_cut(audio)


def _wav_is_cut(audio: bytes) -> bool:
    at = 12
    while audio.startswith(b"RIFF") and at + 8 <= len(audio):
        size = int.from_bytes(audio[at + 4 : at + 8], "little")
        if audio.startswith(b"data", at):
            missing = size - (len(audio) - at - 8)
            return missing > _MISSING * size and not any(size in unknown for unknown in _UNKNOWN_SIZES)
        at += 8 + size + size % 2
    return False


def _ogg_is_cut(audio: bytes) -> bool:
    """Whether pages are missing, damaged or followed by something else, or the end of the stream was never written.

    FFmpeg drops a damaged page without a word, seconds of sound with it, and takes the last page that it finds for the end.
    """
    at, numbers, last_flags = 0, dict[bytes, int](), 0
    while audio.startswith(b"OggS", at) and at + _OGG_HEADER <= len(audio):
        end = at + _OGG_HEADER + audio[at + 26]
        end += sum(audio[at + _OGG_HEADER : end])
        serial, number = audio[at + 14 : at + 18], int.from_bytes(audio[at + 18 : at + 22], "little")
        expected = 0 if audio[at + 5] & _OGG_FIRST else numbers.get(serial, 0)
        again = serial in numbers and bool(audio[at + 5] & _OGG_FIRST)  # FFmpeg does not hear what follows
        if end > len(audio) or again or number != expected or not _ogg_page_is_whole(audio[at:end]):
            return True
        at, last_flags, numbers[serial] = end, audio[at + 5], number + 1
    return at < len(audio) or not last_flags & _OGG_LAST


def is_restarting_ogg(audio: bytes) -> bool:
    """Whether one logical stream begins over and over under the same serial number.

    FFmpeg hears only the first beginning, and spends a third of a millisecond on each other: minutes for a file of 20 MiB.
    """
    serials = Counter(audio[found.start() + 14 : found.start() + 18] for found in re.finditer(_OGG_BEGINNING, audio))
    return max(serials.values(), default=0) > _MOST_BEGINNINGS


def _ogg_page_is_whole(page: bytes) -> bool:
    """Ogg's checksum is zlib's with the bits of everything in the other order, and without its two inversions."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRROR)
    checksum = (zlib.crc32(mirrored, _ALL_ONES) ^ _ALL_ONES).to_bytes(4, "little").translate(_MIRROR)
    return checksum[::-1] == page[22:26]
