"""Matroska and WebM: elements within elements, each with its size; streams leave the outer sizes open. Pure.

FFmpeg searches for the next cluster where it finds no element, and reports nothing.
"""

from dataclasses import dataclass
from typing import Final

from sttd.consumer.audio.structure import tail
from sttd.consumer.audio.structure.part import MOST_STEPS, Length, Part

MAGIC: Final = b"\x1a\x45\xdf\xa3"
_HEADER: Final = 0x1A45DFA3
_SEGMENT: Final = 0x18538067
_CLUSTER: Final = 0x1F43B675
_INFO: Final = 0x1549A966
_SIMPLE_BLOCK: Final = 0xA3
_BLOCK_GROUP: Final = 0xA0
_SILENT: Final = frozenset({0x114D9B74, 0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770, 0xEC, 0xBF})
"""Tables of contents, tags, attachments, chapters, padding, checksums."""
_OTHERS: Final = frozenset({0x1654AE6B, 0xE7, 0x5854, 0xA7, 0xAB})
_KNOWN: Final = _SILENT | _OTHERS | {_HEADER, _SEGMENT, _CLUSTER, _INFO, _SIMPLE_BLOCK, _BLOCK_GROUP}
_DURATION: Final = b"\x44\x89"
_MOST_ID_BYTES: Final = 4
_LEAST_BLOCK: Final = 6
"""Bytes of a block without sound in it."""


@dataclass(slots=True)
class _Walk:
    """Where a walk through the elements stands."""

    audio: bytes
    at: int
    size_at: int = 0
    segment_end: int | None = None
    has_duration: bool = False
    failed_on: int = 0
    blocks: int = 0

    def step(self) -> bool:
        """Go over one element, or into one that holds blocks; False at one that is none, or not all there."""
        self.at, blocks = _behind_blocks(self.audio, self.at)
        self.blocks += blocks
        identity, size_at = _identity(self.audio, self.at)
        body, size = _size(self.audio, size_at)
        if identity == _SEGMENT:
            self.size_at, self.segment_end = size_at, None if size is None else body + size
        elif identity == _INFO:
            self.has_duration = _DURATION in self.audio[body : body + (size or 0)]
        inside = identity in {_SEGMENT, _CLUSTER}
        end = body if inside else body + (size or 0)
        if identity not in _KNOWN or end > len(self.audio) or not (inside or size is not None):
            self.failed_on = identity
            return False
        self.at = end
        self.blocks += identity in {_BLOCK_GROUP, _SIMPLE_BLOCK}
        return True

    @property
    def is_over(self) -> bool:
        """At the end of the bytes or of the segment, or at the beginning of another file."""
        ends = self.at == self.segment_end and not self.audio.startswith(_CLUSTER.to_bytes(4), self.at)
        return ends or self.at >= len(self.audio) or self.audio.startswith(MAGIC, self.at)


def walk(audio: bytes, start: int) -> Part:
    """The elements from `start` up to the next file, or to where they end."""
    here = _Walk(audio, start)
    for _ in range(MOST_STEPS):
        if here.at > start and here.is_over:
            return Part(start, here.at, _length(here), _patches(here), here.blocks)
        if not here.step():
            return _stopped(here, start)
    return Part(start, len(audio), Length.ELSEWHERE)


def _stopped(here: _Walk, start: int) -> Part:
    """The walk met something that is no element, or not all there: padding behind the end, damage, or a cut."""
    if here.audio.find(_CLUSTER.to_bytes(4), here.at + 1) > 0:  # a demuxer goes on there, behind what it lost
        return Part(start, len(here.audio), Length.CUT)
    if here.failed_on in _SILENT:
        return Part(start, len(here.audio), Length.ELSEWHERE)
    if here.failed_on in _KNOWN:
        return Part(start, len(here.audio), Length.EARLY if here.has_duration else Length.CUT)
    if tail.is_no_sound(here.audio[here.at :]):
        return Part(start, here.at, _length(here), _patches(here), here.blocks)
    return Part(start, len(here.audio), Length.CUT)


def _length(here: _Walk) -> Length:
    if here.segment_end == here.at:
        return Length.WHOLE
    if here.segment_end is not None and here.at < here.segment_end:
        return Length.EARLY if here.has_duration else Length.CUT
    return Length.ELSEWHERE if here.has_duration else Length.UNTOLD


def _patches(here: _Walk) -> tuple[tuple[int, bytes], ...]:
    """A segment whose size was written before its last clusters is given the size that says "open"."""
    if here.segment_end is None or here.at <= here.segment_end:
        return ()
    width = 9 - here.audio[here.size_at].bit_length()
    return ((here.size_at, (2 ** (7 * width + 1) - 1).to_bytes(width)),)


def _behind_blocks(audio: bytes, at: int) -> tuple[int, int]:
    """Over all blocks that follow each other, nearly everything in a file; where they end and how many there are."""
    last, count = len(audio) - 3, 0
    while at < last and audio[at] == _SIMPLE_BLOCK:
        first = audio[at + 1]
        if first & 0x80:
            end = at + 2 + (first & 0x7F)
        elif first & 0x40:
            end = at + 3 + ((first & 0x3F) << 8 | audio[at + 2])
        else:
            break
        if end > len(audio) or end < at + _LEAST_BLOCK:
            break
        at, count = end, count + 1
    return at, count


def _identity(audio: bytes, at: int) -> tuple[int, int]:
    """An element's identity and where its size begins; identity 0 where there is none."""
    width = 9 - audio[at].bit_length() if at < len(audio) else 0
    return (int.from_bytes(audio[at : at + width]), at + width) if 0 < width <= _MOST_ID_BYTES else (0, at)


def _size(audio: bytes, at: int) -> tuple[int, int | None]:
    """Where an element's body begins, and its size; None for one that is left open."""
    width = 9 - audio[at].bit_length() if at < len(audio) else 9
    value = int.from_bytes(audio[at : at + width]) & (1 << 7 * width) - 1
    return at + width, None if value == (1 << 7 * width) - 1 else value
