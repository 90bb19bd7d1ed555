"""Segments as subtitle cues that a person can read: two short lines, a few seconds.

Pure. gateway/page/cues.js makes the same cues in the browser.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sttd.schemas.reply import Segment

LONGEST: Final = 7_000
"""Milliseconds that one cue stands."""
WIDTH: Final = 42
"""Characters of a line."""
LINES: Final = 2
PAUSE: Final = 2_000
"""Milliseconds between two words of which the second begins a cue of its own."""

_ENDS: Final = tuple(".,!?;:…。、！？")
_HYPHENS: Final = tuple("-\u2010\u2011")


@dataclass(frozen=True, slots=True)
class Cue:
    """Milliseconds, and one or two lines of text."""

    start: int
    end: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word, or what fits in a line of it. Begins with a space where the text has one. Milliseconds."""

    start: float
    end: float
    text: str


def cues(segments: Sequence[Segment], duration: float) -> Iterator[Cue]:
    """All words of the segments, in order, as cues inside `duration` (seconds); segments without a word give none.

    Cut at words, by their times where the segments have some, else by each word's share of the segment's characters.
    """
    last, begun = max(_whole(duration * 1000), 1), 0
    for segment in segments:
        for group in _groups(_pieces(segment)):
            begun = min(max(_whole(group[0].start), begun), last - 1)
            end = min(max(_whole(group[-1].end), begun + 1), begun + LONGEST, last)
            yield Cue(begun, end, tuple(_lines(group, _width(group))))


def _whole(milliseconds: float) -> int:
    """Halves go up, as in JavaScript."""
    return math.floor(milliseconds + 0.5)


def one_line(text: str) -> str:
    """White space as single spaces: a line feed or a tab within a cue would end it."""
    return re.sub(r"\s+", " ", text).strip()


def _pieces(segment: Segment) -> list[_Piece]:
    words = segment.words or []
    if one_line("".join(word.word for word in words)) == one_line(segment.text):
        spoken = [piece for word in words for piece in _shares(word.word, word.start * 1000, word.end * 1000)]
    else:
        spoken = list(_shares(segment.text, segment.start * 1000, segment.end * 1000))
    return _attached(spoken)


def _shares(text: str, start: float, end: float) -> Iterator[_Piece]:
    """The words of a text, each with its share of the time."""
    plain = re.sub(r"\s+", " ", text).rstrip()
    for found in re.finditer(rf" ?[^ ]{{1,{WIDTH}}}", plain):
        begin, stop = (start + (end - start) * at / len(plain) for at in found.span())
        yield _Piece(begin, stop, found[0])


def _attached(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Signs and parts behind a hyphen stay with their word; faster-whisper times them alone."""
    whole: list[_Piece] = []
    for piece in pieces:
        before = whole[-1] if whole else None
        if before and _belongs(before.text, piece.text):
            whole[-1] = _Piece(before.start, piece.end, before.text + piece.text)
        else:
            whole.append(piece)
    return whole


def _belongs(before: str, text: str) -> bool:
    return (
        not text.startswith(" ")
        and (not text[0].isalnum() or before.endswith(_HYPHENS))
        and len((before + text).strip()) <= WIDTH
    )


def _groups(pieces: Sequence[_Piece]) -> Iterator[Sequence[_Piece]]:
    while pieces:
        size = _size(pieces)
        yield pieces[:size]
        pieces = pieces[size:]


def _size(pieces: Sequence[_Piece]) -> int:
    """How many pieces make the next cue: all up to a pause, or what fits, if possible up to the end of a clause."""
    paused = next((at for at, two in enumerate(pairwise(pieces), 1) if two[1].start - two[0].end > PAUSE), len(pieces))
    fitting = next((size for size in range(2, paused + 1) if not _fits(pieces[:size])), paused + 1) - 1
    if fitting >= paused:
        return paused
    ends = [size for size in range(fitting // 3 + 1, fitting + 1) if pieces[size - 1].text.endswith(_ENDS)]
    return ends[-1] if ends else fitting


def _fits(pieces: Sequence[_Piece]) -> bool:
    return pieces[-1].end - pieces[0].start <= LONGEST and len(_lines(pieces, WIDTH)) <= LINES


def _lines(pieces: Sequence[_Piece], width: int) -> list[str]:
    """Each line as full as `width` allows."""
    lines: list[str] = []
    for piece in pieces:
        longer = (lines[-1] if lines else "") + piece.text
        if lines and len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(piece.text.strip())
    return lines


def _width(pieces: Sequence[_Piece]) -> int:
    """The least width that needs no more lines than the full one: lines of about one length."""
    least = len(_lines(pieces, WIDTH))
    longest = max(len(piece.text.strip()) for piece in pieces)
    return next(width for width in range(longest, WIDTH + 1) if len(_lines(pieces, width)) <= least)
