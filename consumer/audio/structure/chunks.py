"""WAV, Wave64, AIFF and CAF: chunks with a name and a size each, one of which holds the sound. Pure.

Recorders write the size first and the sound afterwards: a size that was never filled in is no length, and FFmpeg stops
where a size says that the sound ends.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sttd.consumer.audio.structure import starts, tail
from sttd.consumer.audio.structure.part import Length, Part

_LOST_SECONDS: Final = 0.25
"""The last block may be short; more than that is a loss."""
_EXTRA_SECONDS: Final = 0.1
"""Less than that behind the sound is not worth reading."""
_USUAL_RATE: Final = 4_000
"""Bytes a second, where the file's own rate makes no sense: ADPCM at 8 kHz, the least."""
_UNTOLD: Final = (range(2**31 - 2**16, 2**31 + 1), range(2**32 - 2**16, 2**32), range(2**62, 2**64))
"""Writers that cannot seek back leave a size at 2 or 4 GiB, or beyond."""
_RATE_POWERS: Final = range(32)
_HUGE: Final = 2**29
_LITTLE: Final = 0.01
"""Others leave any huge number: no note announces half a GiB and arrives with less than a hundredth of it."""
_MOST_CHUNKS: Final = 10_000
_LABELS: Final = frozenset(
    b"LIST id3  ID3  fact cue  smpl inst bext iXML axml PEAK JUNK junk FLLR PAD  DISP acid _PMX NAME AUTH ANNO "
    b"MARK COMT APPL".split(b" ")
    + b"info strg mark regn umid uuid free kuki chan list".split()
)
"""Chunks that hold no sound: one that is cut short is no loss."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk. `size`: of its body, in bytes, as it stands at `size_at`; `extra`: what that figure counts besides."""

    name: bytes
    body: int
    size: int
    size_at: int
    field: struct.Struct
    extra: int = 0

    def sized(self, size: int) -> tuple[int, bytes]:
        """Its size as it should stand in the file: where, and the bytes."""
        return self.size_at, self.field.pack(min(size + self.extra, 2 ** (8 * self.field.size) - 1))


@dataclass(frozen=True, slots=True)
class ChunkForm:
    """How one of these containers writes its chunks. `rate`: bytes of sound a second, from the chunk `shape`."""

    magic: bytes
    kinds: tuple[bytes, ...]
    first: int
    name_bytes: int
    field: struct.Struct
    extra: int
    align: int
    shape: bytes
    rate: Callable[[bytes], float]
    sound: bytes

    def begins(self, audio: bytes, at: int) -> bool:
        """Whether a file of this form begins there."""
        return audio.startswith(self.magic, at) and (not self.kinds or audio[at + 8 : at + 12] in self.kinds)

    def chunk(self, audio: bytes, at: int) -> Chunk | None:
        """The chunk that begins there; None at what is none."""
        name, size_at = audio[at : at + 4], at + self.name_bytes
        body = size_at + self.field.size
        if body > len(audio) or not (name.isascii() and name.decode().isprintable()):
            return None
        (size,) = self.field.unpack_from(audio, size_at)
        return Chunk(name, body, max(0, size - self.extra), size_at, self.field, self.extra)

    def behind(self, chunk: Chunk, start: int) -> int:
        """Where the next chunk begins in a file that begins at `start`."""
        end = chunk.body + chunk.size
        return end + (start - end) % self.align


def _wav_rate(order: str, shape: bytes) -> float:
    """The least of two figures: writers that know neither the file's length nor the format leave one of them wrong."""
    rate, said, block = struct.unpack_from(f"{order}4xIIH", shape)
    return float(min(said, rate * block) if block else said)


def _aiff_rate(shape: bytes) -> float:
    """The sample rate is a number of 80 bits: 15 of exponent, 64 of mantissa."""
    channels, bits, exponent, mantissa = struct.unpack_from(">h4xhHQ", shape)
    power = (exponent & 0x7FFF) - 0x3FFF
    return math.ldexp(mantissa, power - 63) * channels * bits / 8 if power in _RATE_POWERS else 0.0


def _caf_rate(shape: bytes) -> float:
    rate, packet_bytes, packet_frames = struct.unpack_from(">d8xII", shape)
    return float(rate * packet_bytes / packet_frames) if packet_frames else 0.0


def _wave(magic: bytes, order: str = "<") -> ChunkForm:
    rate = partial(_wav_rate, order)
    return ChunkForm(magic, (b"WAVE",), 12, 4, struct.Struct(f"{order}I"), 0, 2, b"fmt ", rate, b"data")


FORMS: Final = (
    _wave(b"RIFF"),
    _wave(b"RF64"),
    _wave(b"BW64"),
    _wave(b"RIFX", ">"),
    ChunkForm(
        b"riff\x2e\x91\xcf\x11", (), 40, 16, struct.Struct("<Q"), 24, 8, b"fmt ", partial(_wav_rate, "<"), b"data"
    ),
    ChunkForm(b"FORM", (b"AIFF", b"AIFC"), 12, 4, struct.Struct(">I"), 0, 2, b"COMM", _aiff_rate, b"SSND"),
    ChunkForm(b"caff", (), 8, 4, struct.Struct(">Q"), 0, 1, b"desc", _caf_rate, b"data"),
)
"""WAV, WAV for large files (two names), WAV with the high byte first, Wave64, AIFF, CAF."""


def walk(form: ChunkForm, audio: bytes, start: int) -> Part:
    """The chunks of the file that begins at `start`, up to the next file or to where they end."""
    at, rate, large, shape_at = start + form.first, float(_USUAL_RATE), None, 0
    for _ in range(_MOST_CHUNKS):
        if (chunk := form.chunk(audio, at)) is None:
            break
        if chunk.name == form.shape:
            rate, shape_at = _rate(form, audio[chunk.body : chunk.body + 40]), chunk.body
        elif chunk.name == b"ds64" and chunk.body + 16 <= len(audio):  # the sizes for which 32 bits are too few
            large = struct.unpack_from("<Q", audio, chunk.body + 8)[0], chunk.body + 8, struct.Struct("<Q")
        elif chunk.name == form.sound:
            sound = Chunk(form.sound, chunk.body, *large) if large and _is_large(form, chunk) else chunk
            part = _sound(form, audio, start, sound, rate)
            return _aiff(audio, part, shape_at) if form.shape == b"COMM" and shape_at else part
        at = form.behind(chunk, start)
    return Part(start, len(audio), Length.ELSEWHERE)


def _is_large(form: ChunkForm, chunk: Chunk) -> bool:
    """Whether the size of the sound is that of 64 bits, however empty: in files for it FFmpeg reads no other."""
    return chunk.size == 2**32 - 1 or form.magic in {b"RF64", b"BW64"}


def _rate(form: ChunkForm, shape: bytes) -> float:
    """Bytes of sound a second; the usual value where the file has no sensible one."""
    try:
        rate = form.rate(shape)
    except struct.error:
        return _USUAL_RATE
    return rate if 0 < rate < _HUGE else _USUAL_RATE


def _sound(form: ChunkForm, audio: bytes, start: int, chunk: Chunk, rate: float) -> Part:
    """The size of the chunk with the sound, compared with the bytes that there are."""
    there, end = len(audio) - chunk.body, chunk.body + chunk.size
    if chunk.size > there:
        untold = any(chunk.size in limits for limits in _UNTOLD) or chunk.size > max(_HUGE, there / _LITTLE)
        cut = chunk.size - there > rate * _LOST_SECONDS
        patches = (chunk.sized(there),) if chunk.size >= 2**32 else ()  # FFmpeg fails on sums beyond 63 bits
        return Part(start, len(audio), Length.UNTOLD if untold else Length.CUT if cut else Length.WHOLE, patches)
    for next_at in (form.behind(chunk, start), end):  # some writers forget to align
        labels_end = _behind_labels(form, audio, start, next_at)
        nothing_said = not chunk.size and there and labels_end == next_at and not starts.begins(audio, next_at)
        if labels_end is not None and not nothing_said:
            return Part(start, labels_end, Length.WHOLE)
    if 0 < there - chunk.size < rate * _EXTRA_SECONDS:
        return Part(start, len(audio), Length.WHOLE)
    return Part(start, len(audio), Length.UNTOLD, (chunk.sized(there),))


def _aiff(audio: bytes, part: Part, shape_at: int) -> Part:
    """AIFF has two more lengths, of the file and in samples; FFmpeg fails where a writer never filled them in."""
    size, (frames,) = part.end - part.start - 8, struct.unpack_from(">2xI", audio, shape_at)
    patches = list(part.patches)
    if int.from_bytes(audio[part.start + 4 : part.start + 8]) < size or part.length is Length.UNTOLD:
        patches.append((part.start + 4, size.to_bytes(4)))
    if frames > _HUGE:
        patches.append((shape_at + 2, bytes(4)))
    return replace(part, patches=tuple(patches))


def _behind_labels(form: ChunkForm, audio: bytes, start: int, first: int) -> int | None:
    """Where the chunks behind the sound end; None where what is there is no chunk."""
    at = first
    for _ in range(_MOST_CHUNKS):
        chunk = form.chunk(audio, at)
        if at >= len(audio) or starts.begins(audio, at) or (chunk and chunk.name == form.sound):
            break  # FFmpeg reads one chunk with sound only: a second one ends the file, and is reported as unread
        after = form.behind(chunk, start) if chunk else len(audio) + 1
        if chunk is None or (after >= len(audio) + form.align and chunk.name not in _LABELS):
            return at if at > first or tail.is_no_sound(audio[at:]) else None
        at = after
    return min(at, len(audio))
