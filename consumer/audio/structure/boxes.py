"""MP4 and its relatives: boxes with a size each. Pure.

Their index lists the sound, and FFmpeg reads it; here only the end of a file is found.
"""

from typing import Final

from sttd.consumer.audio.structure.part import MOST_STEPS, Length, Part

STARTS: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""What a file may begin with; those of today with `ftyp`."""
_HEAD: Final = 8
_SOUND: Final = (b"moof", b"mdat")


def walk(audio: bytes, start: int) -> Part:
    """The boxes from `start` up to the next file's `ftyp`, or to where there is no box any more."""
    at, kinds = start, set[bytes]()
    for _ in range(MOST_STEPS):
        size, kind = int.from_bytes(audio[at : at + 4]), audio[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(audio[at + 8 : at + 16])
        if size < _HEAD or not kind.isalnum() or (kind == b"ftyp" and b"moov" in kinds):
            break
        kinds.add(kind)
        at += size
        if at > len(audio):
            is_cut = b"moof" in kinds and kind in _SOUND  # else the index shows what is missing
            return Part(start, len(audio), Length.CUT if is_cut else Length.ELSEWHERE)
    is_one = kinds >= {b"moov", b"mdat"}
    return Part(start, at if is_one else len(audio), Length.ELSEWHERE)
