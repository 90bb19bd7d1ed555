"""Where another file begins behind or inside some bytes: by the first bytes of every container that has some. Pure.

Streams without an outer length (MP3, ADTS, AMR, FLAC) end where the next file begins; a decoder would take it for
damaged frames, or for noise.
"""

import re
from typing import Final

from sttd.consumer.audio.structure.tags import id3_bytes

_SIGNS: Final = tuple(
    (sign, back, re.compile(whole, re.DOTALL))
    for sign, back, whole in (
        (b"OggS\0\2", 0, rb"OggS\0\x02\0{8}"),
        (b"WAVE", 8, rb"(?:RIFF|RIFX|RF64|BW64).{4}WAVE"),
        (b"riff\x2e\x91\xcf\x11", 0, rb"riff\x2e\x91\xcf\x11"),
        (b"FORM", 0, rb"FORM.{4}AIF[FC]"),
        (b"caff\0\1\0\0", 0, rb"caff\0\x01\0\0"),
        (b"fLaC", 0, rb"fLaC[\0\x80]\0\0\x22"),
        (b"\x1a\x45\xdf\xa3", 0, rb"\x1a\x45\xdf\xa3.{0,60}?(?:webm|matroska)"),
        (b"ftyp", 4, rb"\0\0\0.ftyp"),
        (b"#!AMR", 0, rb"#!AMR(?:-WB)?\n"),
    )
)
"""What to look for quickly, how far behind the file's first byte that stands, and what must be there."""
_ID3: Final = re.compile(rb"ID3[\2-\4]\0[\0-\xf0]")
_MOST_TRIES: Final = 1_000
"""In one piece."""
_PIECE: Final = 2**16


def begins(audio: bytes, at: int) -> bool:
    """Whether one of these files begins there."""
    return any(whole.match(audio, at) for _, _, whole in _SIGNS)


def is_mpeg(audio: bytes, at: int) -> bool:
    """Whether a frame of MP3 or ADTS begins there: eleven set bits."""
    return audio[at : at + 1] == b"\xff" and audio[at + 1 : at + 2] >= b"\xe0"


def following(audio: bytes, start: int) -> int:
    """Where the first file behind `start` begins, its own tag included; the end of the bytes where none does.

    Looked for in pieces, so that many files cost no more than one.
    """
    first, size = start + 1, _PIECE
    while first < len(audio):
        places = [_find(audio, first, first + size, *sign) for sign in _SIGNS]
        found = [at for at in (*places, _tagged(audio, first, first + size)) if at is not None]
        if found:
            return min(found)
        first, size = first + size, 2 * size
    return len(audio)


def _find(audio: bytes, first: int, stop: int, sign: bytes, back: int, whole: re.Pattern[bytes]) -> int | None:
    at = first + back - 1
    for _ in range(_MOST_TRIES):
        at = audio.find(sign, at + 1, stop + back + len(sign) - 1)
        if at < 0:
            return None
        if whole.match(audio, at - back):
            return at - back
    return None


def _tagged(audio: bytes, first: int, stop: int) -> int | None:
    """The first ID3 tag behind which a file begins."""
    at = first - 1
    for _ in range(_MOST_TRIES):
        at = audio.find(b"ID3", at + 1, stop + 2)
        if at < 0:
            return None
        behind = at + id3_bytes(audio, at)
        if _ID3.match(audio, at) and (is_mpeg(audio, behind) or begins(audio, behind)):
            return at
    return None
