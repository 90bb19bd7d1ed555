"""MP4 and its relatives: boxes with a size each. Pure.

Their index lists the sound, and FFmpeg reads it; here only the end of a file is found.
"""

import re
from typing import Final

from sttd.consumer.audio.structure import tail
from sttd.consumer.audio.structure.part import MOST_STEPS, Length, Part

STARTS: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""What a file may begin with; those of today with `ftyp`."""
_HEAD: Final = 8
_REST, _LARGE = 0, 1
"""Instead of a size: all that follows; one of 64 bits behind the kind."""
_KIND: Final = re.compile(rb"[\xa9 \w]{4}")
"""Letters and digits, and what else programs write: `XMP_`, `\xa9xyz`."""
_SOUND: Final = (b"moof", b"mdat")
_ONE: Final = {b"moov", b"mdat"}
"""What makes a whole file."""


def walk(audio: bytes, start: int) -> Part:
    """The boxes from `start` up to the next file's `ftyp`, or to where there is no box any more."""
    at, kinds = start, set[bytes]()
    for _ in range(MOST_STEPS):
        size, kind = int.from_bytes(audio[at : at + 4]), audio[at + 4 : at + 8]
        if not _KIND.fullmatch(kind):
            break
        size = {_REST: len(audio) - at, _LARGE: int.from_bytes(audio[at + 8 : at + 16])}.get(size, size)
        if size < _HEAD or (kind == b"ftyp" and b"moov" in kinds):
            break
        if at + size > len(audio) and kinds >= _ONE and kind not in _SOUND and tail.is_no_sound(audio[at:]):
            return Part(start, at, Length.ELSEWHERE, behind=len(audio) - at)  # text may look like a box
        kinds.add(kind)
        at += size
        if at > len(audio):
            is_cut = b"moof" in kinds and kind in _SOUND  # else the index shows what is missing
            return Part(start, len(audio), Length.CUT if is_cut else Length.ELSEWHERE)
    return Part(start, at if kinds >= _ONE else len(audio), Length.ELSEWHERE)
