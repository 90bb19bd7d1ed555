"""Bytes that are certainly no sound: padding, tags, text. Pure."""

from typing import Final

SHORT: Final = 512
"""Bytes; at 8 kbit/s half a second. Less than that behind a file's end is not reported."""
ID3V1_BYTES: Final = 128
_FILLING: Final = 64
_TAGS: Final = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")


def is_no_sound(rest: bytes) -> bool:
    """Whether what follows a file's own end holds no sound."""
    rest = rest.strip(b"\0")
    return len(rest) < SHORT or is_label(rest)


def is_label(rest: bytes) -> bool:
    """A tag, a little padding, or text: a broken form's boundary, a log, XMP."""
    return rest.startswith(_TAGS) or is_text(rest) or (len(rest) < _FILLING and not rest.strip(b"\0"))


def is_text(rest: bytes) -> bool:
    """Whether all of it is UTF-8 without a zero byte."""
    if b"\0" in rest:
        return False
    try:
        rest.decode()
    except UnicodeDecodeError:
        return False
    return True
