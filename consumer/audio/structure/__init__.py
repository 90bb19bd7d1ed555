"""Where each file among the bytes ends by its own lengths, and whether sound is missing. Pure.

FFmpeg notices neither that the end of a file is missing nor that unread data follows it.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final

from sttd.consumer.audio.structure import boxes, chunks, ebml, ogg, tail
from sttd.consumer.audio.structure.part import Length, Part

__all__ = ["Length", "Part", "Structure", "id3_bytes", "is_restarting_ogg", "of"]

is_restarting_ogg = ogg.is_restarting

MOST_PARTS: Final = 64
"""Files joined to one that are read one by one; what comes behind them is left to FFmpeg as one more."""
MOST_TAGS: Final = 1_000
_ID3_HEADER: Final = struct.Struct(">3sHB4B")
_XING: Final = re.compile(rb"(?:Xing|Info)\0\0\0(.)", re.DOTALL)
_FIRST_FRAME: Final = 64
_HAS_BYTES: Final = 2
_AMR: Final = re.compile(rb"#!AMR(-WB)?\n")
_SCRAPS: Final = re.compile(rb"(?:\xef\xbb\xbf)?[\0\r\n ]{0,4096}")
_ID3: Final = re.compile(rb"ID3[\2-\4]\0[\0-\xf0]")

Walk = Callable[[bytes, int], Part]


@dataclass(frozen=True, slots=True)
class Structure:
    """The files among the bytes, in order; at least one.

    `unread`: what follows the last one may be sound, and is not read.
    """

    parts: tuple[Part, ...]
    unread: bool


def of(audio: bytes) -> Structure:
    """Find the files among some bytes.

    Nearly always one, but recorders and bots also write several, one after the other.
    """
    found: list[Part] = []
    at = _behind_scraps(audio)
    while at < len(audio) and (walk := _walk(audio, begins := at + id3_bytes(audio, at))):
        part = replace(walk(audio, begins), start=at if walk is _mpeg else begins)  # elsewhere FFmpeg fails on a tag
        if len(found) == MOST_PARTS or part.end <= at:
            part = Part(at, len(audio), Length.ELSEWHERE)
        found.append(part)
        at = part.end
    if not found:
        return Structure((Part(0, len(audio), Length.ELSEWHERE),), unread=False)
    return Structure(tuple(found), unread=not tail.is_no_sound(audio[at:]))


def _behind_scraps(audio: bytes) -> int:
    """How many bytes of a form or an editor are in front of the first file: line ends, zeros, a byte order mark."""
    found = _SCRAPS.match(audio)
    end = found.end() if found else 0
    begins = range(end, max(-1, end - 5), -1)  # MP4 begins with a size, of which the zeros were taken for scraps
    return next((at for at in begins if _walk(audio, at + id3_bytes(audio, at))), 0)


def _walk(audio: bytes, at: int) -> Walk | None:
    """The parser of the container that begins there; None where none begins whose structure is known."""
    for form in chunks.FORMS:
        if form.begins(audio, at):
            return partial(chunks.walk, form)
    if audio.startswith(ogg.MAGIC, at):
        return ogg.walk
    if audio.startswith(ebml.MAGIC, at):
        return ebml.walk
    if audio[at + 4 : at + 8] in boxes.STARTS:
        return boxes.walk
    if _is_mpeg(audio, at):
        return _mpeg
    return _amr if _AMR.match(audio, at) else None


def _is_mpeg(audio: bytes, at: int) -> bool:
    """Whether a frame of MP3 or ADTS begins there: eleven set bits."""
    return audio[at : at + 1] == b"\xff" and audio[at + 1 : at + 2] >= b"\xe0"


def _mpeg(audio: bytes, start: int) -> Part:
    """MP3 or ADTS up to the tag with which another file begins.

    That file's header counts its own frames only, and a decoder fails at the tag.
    """
    for tag in islice(_ID3.finditer(audio, start), MOST_TAGS):
        if _is_mpeg(audio, tag.start() + id3_bytes(audio, tag.start())):
            return Part(start, tag.start(), _mpeg_length(audio, start, tag.start()))
    return Part(start, len(audio), _mpeg_length(audio, start, len(audio)))


def _mpeg_length(audio: bytes, start: int, end: int) -> Length:
    """The first frame may count frames and bytes: where all bytes are there, a count of more frames is false."""
    found = _XING.search(audio, start, start + _FIRST_FRAME)
    if found is None or not found[1][0] & _HAS_BYTES:
        return Length.ELSEWHERE
    at = found.end() + 4 * (found[1][0] & 1)
    return Length.WHOLE if 0 < int.from_bytes(audio[at : at + 4]) <= end - start else Length.ELSEWHERE


def _amr(audio: bytes, start: int) -> Part:
    """AMR up to the next file's header, or to a tag: a decoder would take both for frames."""
    following = _AMR.search(audio, start + 1)
    end = len(audio) - (tail.ID3V1_BYTES if tail.has_id3v1(audio) else 0)
    return Part(start, following.start() if following else end, Length.ELSEWHERE)


def id3_bytes(audio: bytes, at: int = 0) -> int:
    """Length of an ID3v2 tag that begins there (seven bits a byte), 0 without one."""
    if not audio.startswith(b"ID3", at) or len(audio) < at + _ID3_HEADER.size:
        return 0
    length: tuple[int, ...] = _ID3_HEADER.unpack_from(audio, at)[3:]
    return _ID3_HEADER.size + sum(seven << shift for seven, shift in zip(length, (21, 14, 7, 0), strict=True))
