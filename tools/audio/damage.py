"""Damage by seed: what happens to files on the way, and the files that it happens to.

The same kind, seed and file give the same bytes in every run.
"""

import io
import random
from collections.abc import Callable
from typing import Any, Final

import av
import numpy as np

from sttd.samples import samples
from tools.audio import files

SECONDS: Final = 10.0
NAMES: Final = tuple(
    "ogg-opus ogg-vorbis webm-opus mp3 m4a-aac adts-aac wav-s16 flac amr 3gp-amr mov-alac mp4-video".split()
)
"""The twelve formats of the promise."""

AT_THE_START: Final = 0.75
"""Share of false fields that are in the head of a file, not in its tail."""

Bytes = bytearray


def cut(audio: Bytes, rng: random.Random) -> None:
    """The end is missing: a broken upload."""
    del audio[rng.randrange(1, len(audio)) :]


def flipped(audio: Bytes, rng: random.Random) -> None:
    """One to sixty-four bytes have another value, anywhere."""
    for _ in range(2 ** rng.randrange(7)):
        audio[rng.randrange(len(audio))] ^= rng.randrange(1, 256)


def zeroed(audio: Bytes, rng: random.Random) -> None:
    """A block of zeros, as a lost disk block leaves it."""
    at, length = _block(audio, rng)
    audio[at : at + length] = bytes(length)


def noise(audio: Bytes, rng: random.Random) -> None:
    """A block of random bytes."""
    at, length = _block(audio, rng)
    audio[at : at + length] = rng.randbytes(length)


def lost(audio: Bytes, rng: random.Random) -> None:
    """A block is missing from the middle; what follows moved up."""
    at, length = _block(audio, rng)
    del audio[at : at + length]


def lying_header(audio: Bytes, rng: random.Random) -> None:
    """Fields among the first bytes, or near the end where MP4 keeps its index, get small, huge or odd numbers."""
    for _ in range(rng.randrange(1, 5)):
        width = rng.choice((1, 2, 4, 8))
        near = rng.choice((64, 256, 1024))
        start = rng.randrange(near) if rng.random() < AT_THE_START else len(audio) - 1 - rng.randrange(near)
        value = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63, rng.randrange(2**16), rng.randrange(2**32)))
        at = max(0, min(start, len(audio) - width))
        audio[at : at + width] = (value % 2 ** (8 * width)).to_bytes(width, rng.choice(("little", "big")))


def _block(audio: Bytes, rng: random.Random) -> tuple[int, int]:
    length = min(len(audio) // 2, rng.choice((16, 512, 4096, len(audio) // 5)))
    return rng.randrange(len(audio) - length), length


KINDS: Final[tuple[Callable[[Bytes, random.Random], None], ...]] = (cut, flipped, zeroed, noise, lost, lying_header)


def damaged(audio: bytes, seed: int) -> tuple[str, bytes]:
    """Name of the damage that a seed stands for, and the damaged file."""
    kind, broken = KINDS[seed % len(KINDS)], bytearray(audio)
    kind(broken, random.Random(seed))  # noqa: S311 - repeatable damage, no secret
    return kind.__name__, bytes(broken)


def file(name: str, seconds: float = SECONDS) -> bytes:
    """A rising tone under some noise as a file of one of the `NAMES`."""
    return video(seconds) if name == "mp4-video" else files.encoded(name, seconds)


def good() -> list[bytes]:
    """Files to damage: the bundled notes that decode, and one file of each of the twelve formats."""
    bundled = [sample.path.read_bytes() for sample in samples() if sample.expect in {"text", "no_speech"}]
    return [*bundled, *(file(name, 3.0) for name in NAMES)]


def video(seconds: float) -> bytes:
    """An MP4 with a picture that changes and sound: what a phone sends as a video note."""
    out = io.BytesIO()
    with av.open(out, mode="w", format="mp4") as target:
        picture: Any = target.add_stream("mpeg4", rate=5)
        picture.width = picture.height = 64
        sound: Any = target.add_stream("aac", rate=44_100, layout="mono")
        sounds = files.frames(files.tone(seconds, 44_100), 44_100, "mono", sound.codec_context)
        for number in range(int(seconds * 5)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number % 256, dtype=np.uint8))
            target.mux(picture.encode(frame))
        for frame in sounds:
            target.mux(sound.encode(frame))
        target.mux(picture.encode(None))
        target.mux(sound.encode(None))
    return out.getvalue()
