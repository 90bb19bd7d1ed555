"""Files of several tracks, sound with holes, headers that were never finished, and where PCM has sound.

Pure.
"""

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from tools.audio import containers as c

Samples = NDArray[np.float32]
Span = tuple[float, float]

BURST, PERIOD, FIRST_BURST = 0.35, 0.8, 0.15
"""Seconds: how long a burst sounds, how often one begins, when the first does."""
_WINDOW, _PAUSE = 0.01, 0.1
HEADERS: Final = ("first flush", "zero", "ones", "half", "two billion")
"""The length in a header that was never finished: the first value, and the values of writers that cannot seek back."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Sound without a hole in it. `at`: seconds on the time axis; `sound`: shape (channels, samples)."""

    at: float
    sound: Samples


@dataclass(frozen=True, slots=True)
class Track:
    """One track of a file: its pieces, and FFmpeg's name of the layout of their channels."""

    layout: str
    pieces: Sequence[Piece]


def bursts(seconds: float) -> tuple[Span, ...]:
    """Where sound of that length has its bursts."""
    starts = np.arange(FIRST_BURST, seconds - BURST, PERIOD)
    return tuple((round(float(start), 3), round(float(start) + BURST, 3)) for start in starts)


def signal(seconds: float, rate: int) -> Samples:
    """Bursts of a tone that rises while it sounds, in silence; shape (samples,)."""
    time = np.arange(round(seconds * rate)) / rate
    inside = np.zeros(time.size, dtype=bool)
    for start, end in bursts(seconds):
        inside |= (time >= start) & (time < end)
    return (0.5 * np.sin(2 * np.pi * (330 * time + 15 * time**2)) * inside).astype(np.float32)


def sounding(pcm: Samples) -> tuple[Span, ...]:
    """Where 16 kHz PCM is louder than a tenth of its loudest moment, in seconds."""
    step = int(_WINDOW * 16_000)
    loudness = np.sqrt((pcm[: pcm.size // step * step].reshape(-1, step) ** 2).mean(axis=1))
    found: list[Span] = []
    for at in np.flatnonzero(loudness > 0.1 * loudness.max()):
        start, end = float(at) * _WINDOW, float(at + 1) * _WINDOW
        joins = bool(found) and start - found[-1][1] < _PAUSE
        found = [*found[:-1], (found[-1][0], end)] if joins else [*found, (start, end)]
    return tuple(found)


def muxed(
    container: str,
    encoder: str,
    rate: int,
    tracks: Sequence[Track],
    *,
    options: Mapping[str, str] | None = None,
    video_seconds: float = 0.0,
) -> bytes:
    """A file of these tracks, behind a picture that changes if wanted.

    `container` and codec by FFmpeg's names.
    """
    out = io.BytesIO()
    with av.open(out, mode="w", format=container, options=dict(options or {})) as target:
        picture = _picture(target) if video_seconds else None
        streams: list[Any] = [target.add_stream(encoder, rate=rate, layout=track.layout) for track in tracks]
        packets = [
            packet for stream, track in zip(streams, tracks, strict=True) for packet in _packets(stream, rate, track)
        ]
        packets += _film(picture, video_seconds) if picture else []
        for packet in sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)):
            target.mux(packet)
    return out.getvalue()


def _packets(stream: Any, rate: int, track: Track) -> list[Any]:
    context = stream.codec_context
    context.open()
    found: list[Any] = []
    for piece in track.pieces:
        packed = np.ascontiguousarray(piece.sound.T.reshape(1, -1))  # PyAV misreads eight planes
        frame: Any = av.AudioFrame.from_ndarray(packed, format="flt", layout=track.layout)
        frame.rate = rate
        size = context.frame_size or 1024
        resampler = av.AudioResampler(format=context.format, layout=track.layout, rate=rate, frame_size=size)
        parts = resampler.resample(frame)
        parts += resampler.resample(None) if piece is track.pieces[-1] else []
        at = round(piece.at * rate)
        for part in parts:
            part.pts, part.time_base = at, Fraction(1, rate)
            at += part.samples
            found += stream.encode(part)
    return [*found, *stream.encode(None)]


def _picture(target: Any) -> Any:
    picture = target.add_stream("mpeg4", rate=5)
    picture.width = picture.height = 64
    return picture


def _film(picture: Any, seconds: float) -> list[Any]:
    shades = (np.full((64, 64, 3), number % 256, dtype=np.uint8) for number in range(round(seconds * 5)))
    found = [packet for shade in shades for packet in picture.encode(av.VideoFrame.from_ndarray(shade))]
    return [*found, *picture.encode(None)]


def without_codec(audio: bytes) -> bytes:
    """An MP4 or Matroska file whose first audio track is in an unknown codec."""
    if audio.startswith(b"ftyp", 4):
        at = audio.index(b"stsd", audio.index(b"soun")) + 16
        named = c.patched(audio, at, b"apac")
        return named[:at] + named[at:].replace(b"esds", b"xsds", 1)  # which names the codec, too
    at = audio.index(b"\x86", audio.index(b"\x16\x54\xae\x6b"))
    return c.patched(audio, audio.index(b"A_", at), b"A_X")


_SIZES: Final[dict[str, tuple[bytes, str, int, int]]] = {
    # where the sound's size stands: chunk, its form, how far behind the name, what it counts besides the sound
    "wav": (b"data", "<I", 4, 0),
    "w64": (b"data\xf3\xac", "<Q", 16, 24),
    "aiff": (b"SSND", ">I", 4, 8),
    "caf": (b"data", ">Q", 4, 4),
}


def unfinished(container: str, audio: bytes, header: str) -> bytes:
    """The same WAV, W64, AIFF or CAF as one of the `HEADERS` leaves it, with nothing behind its sound."""
    chunk, form, behind, besides = _SIZES[container]
    at, width = audio.index(chunk) + behind, struct.calcsize(form)
    (size,) = struct.unpack_from(form, audio, at)
    sizes: dict[str, int] = {
        "first flush": besides + (size - besides) // 3 // 256 * 256,
        "zero": 0,
        "ones": 2 ** (8 * width) - 1,
        "half": 2 ** (8 * width - 1) - 1,
        "two billion": 2_000_000_000,
    }
    end = at + width + size - (besides if container == "w64" else 0)
    return audio[:at] + struct.pack(form, sizes[header]) + audio[at + width : end]
