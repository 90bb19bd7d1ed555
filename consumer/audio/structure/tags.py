"""Tags around frames that have no outer length: before MP3, ADTS or FLAC, and behind MP3 and ADTS. Pure."""

import struct
from typing import Final

from sttd.consumer.audio.structure import tail

_ID3_HEADER: Final = struct.Struct(">3sHB4B")
_HAS_FOOTER: Final = 0x10
_FOOTER_BYTES: Final = 10
_APE: Final = b"APETAGEX"
_APE_BYTES: Final = 32
_APE_HAS_HEADER: Final = 1 << 31
_LYRICS: Final = b"LYRICS200"
_LYRICS_DIGITS: Final = 6
_MOST_TAGS: Final = 16


def id3_bytes(audio: bytes, at: int = 0) -> int:
    """Length of an ID3v2 tag that begins there (seven bits a byte), with its footer; 0 without one."""
    if not audio.startswith(b"ID3", at) or len(audio) < at + _ID3_HEADER.size:
        return 0
    fields = _ID3_HEADER.unpack_from(audio, at)
    footer = _FOOTER_BYTES if fields[2] & _HAS_FOOTER else 0
    return _ID3_HEADER.size + _seven_bits(fields[3:]) + footer


def _seven_bits(four: tuple[int, ...]) -> int:
    return sum(seven << shift for seven, shift in zip(four, (21, 14, 7, 0), strict=True))


def before_tags(audio: bytes, start: int, end: int) -> int:
    """Where the tags begin that end at `end`: ID3 of each version, APE, Lyrics3, in any order; `end` without one."""
    for _ in range(_MOST_TAGS):
        size = _tag_bytes(audio, start, end)
        if not 0 < size <= end - start:
            break
        end -= size
    return end


def _tag_bytes(audio: bytes, start: int, end: int) -> int:
    """The length of the tag that ends at `end`; 0 for none."""
    if audio.startswith(b"TAG", max(start, end - tail.ID3V1_BYTES)):
        return tail.ID3V1_BYTES
    if audio.startswith(_APE, max(start, end - _APE_BYTES)):
        size, _, flags = struct.unpack_from("<III", audio, end - _APE_BYTES + 12)
        return int(size) + (_APE_BYTES if flags & _APE_HAS_HEADER else 0)
    if audio.startswith(_LYRICS, max(start, end - len(_LYRICS))):
        digits = audio[end - len(_LYRICS) - _LYRICS_DIGITS : end - len(_LYRICS)]
        return int(digits) + len(digits) + len(_LYRICS) if digits.isdigit() else 0
    if audio.startswith(b"3DI", max(start, end - _FOOTER_BYTES)):
        return 2 * _FOOTER_BYTES + _seven_bits(tuple(audio[end - 4 : end]))
    at = audio.rfind(b"ID3", start, end)
    return end - at if at > start and at + id3_bytes(audio, at) == end else 0
