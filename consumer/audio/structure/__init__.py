"""Where each file among the bytes ends by its own lengths, and whether sound is missing. Pure.

FFmpeg notices neither that the end of a file is missing nor that unread data follows it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sttd.consumer.audio.structure import boxes, chunks, ebml, mpeg, ogg, starts, tail
from sttd.consumer.audio.structure.part import Length, Part
from sttd.consumer.audio.structure.tags import id3_bytes

MOST_PARTS: Final = 64
"""Files joined to one that are read one by one; what comes behind them is left to FFmpeg as one more."""
_FLAC: Final = b"fLaC"
_AMR: Final = re.compile(rb"#!AMR(-WB)?\n")
_SCRAPS: Final = re.compile(rb"(?:\xef\xbb\xbf)?[\0\r\n ]{0,4096}")

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
    at, unread = _behind_scraps(audio), False
    while at < len(audio):
        walk = _walk(audio, begins := at + id3_bytes(audio, at))
        if walk is None:
            end = starts.following(audio, at) if found else len(audio)
            unread = unread or not tail.is_no_sound(audio[at:end])
            at = end
            continue
        # FFmpeg fails on a tag in front of other files.
        part = replace(walk(audio, begins), start=at if walk is mpeg.walk else begins)
        if len(found) == MOST_PARTS or part.end <= at:
            part = Part(at, len(audio), Length.ELSEWHERE)
        found.append(part)
        at = part.end + part.behind
    if not found:
        return Structure((Part(0, len(audio), Length.ELSEWHERE),), unread=False)
    return Structure(tuple(found), unread=unread)


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
    for magic, walk in ((ogg.MAGIC, ogg.walk), (ebml.MAGIC, ebml.walk), (_FLAC, _flac)):
        if audio.startswith(magic, at):
            return walk
    if audio[at + 4 : at + 8] in boxes.STARTS:
        return boxes.walk
    if starts.is_mpeg(audio, at):
        return mpeg.walk
    return _amr if _AMR.match(audio, at) else None


def _flac(audio: bytes, start: int) -> Part:
    """FLAC up to the next file: a decoder passes over whatever follows its frames."""
    return Part(start, starts.following(audio, start), Length.ELSEWHERE)


def _amr(audio: bytes, start: int) -> Part:
    """AMR up to the next file, or to a tag: a decoder would take both for frames."""
    end = starts.following(audio, start)
    if end == len(audio) and audio[-tail.ID3V1_BYTES :].startswith(b"TAG"):
        end -= tail.ID3V1_BYTES
    return Part(start, end, Length.ELSEWHERE)
