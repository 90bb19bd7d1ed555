"""The voice notes: sentences of tools/demo_notes.py, spoken by espeak-ng, as OGG/Opus at 24 kbit/s like a messenger's.

Made once and kept; the same seed gives the same notes. Runs espeak-ng, and installs it where that is possible.
"""

from __future__ import annotations

import io
import shutil
import sys
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from sttd.samples import Sample, samples
from tools import demo_wer, program

Sound = npt.NDArray[np.int16]

RATE: Final = 48_000
BITS: Final = 24_000
PAUSE_SECONDS: Final = 0.6
SHORT_SECONDS: Final = 3.0
LONG_SECONDS: Final = 600.0
MIXED: Final = {3: 6, 5: 6, 10: 4, 20: 3, 30: 2, 45: 1, 60: 1}
"""How many notes of each length, in seconds, are in a mixed set: most voice notes are short."""

_SHORT_TEXT: Final = 200
_SAMPLE_SECONDS: Final = 5.0
"""About: only rates in seconds of audio are computed from it."""

SETS: Final = ("short", "mixed", "long", "samples")
"""`samples`: the notes that come with sttd, for a run without espeak-ng."""


@dataclass(frozen=True, slots=True)
class Note:
    """One note: the bytes, the script, the length in seconds."""

    name: str
    language: str
    said: str
    seconds: float
    audio: bytes


def notes(kind: str, directory: Path, *, seed: int = 1) -> list[Note]:
    """The notes of one of `SETS`, in a fixed order that mixes lengths; languages take turns."""
    if kind == "samples":
        return [
            Note(one.file, one.language, one.text, _SAMPLE_SECONDS, one.path.read_bytes()) for one in _short_samples()
        ]
    need_espeak()
    lengths = {
        "short": [SHORT_SECONDS] * 8,
        "mixed": [float(s) for s, n in MIXED.items() for _ in range(n)],
        "long": [LONG_SECONDS],
    }[kind]
    directory.mkdir(parents=True, exist_ok=True)
    made = [_note(kind, number, seconds, directory, seed) for number, seconds in enumerate(lengths)]
    Random(seed).shuffle(made)  # noqa: S311 - an order, not a secret
    return made


def _short_samples() -> list[Sample]:
    return [one for one in samples() if one.expect == "text" and len(one.text) <= _SHORT_TEXT and not one.only]


def sentences(language: str, number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Single spoken sentences as OGG/Opus, for comparing texts."""
    need_espeak()
    for said, sound in demo_wer.notes(language, number, seed):
        yield said, opus(_samples(sound))


def need_espeak() -> None:
    """End the run with one sentence where espeak-ng is not here and cannot be installed."""
    program.main("espeak-ng", "espeak-ng")
    if not shutil.which("espeak-ng"):
        sys.exit("bench: espeak-ng speaks the notes and is missing: sudo apt-get install espeak-ng")


def _note(kind: str, number: int, seconds: float, directory: Path, seed: int) -> Note:
    language = ("ru", "en")[number % 2]
    file, text = (directory / f"{kind}-{seed}-{number}.{suffix}" for suffix in ("ogg", "txt"))
    if not text.exists():
        said, sound = _spoken(language, seconds, f"{kind}-{seed}-{number}")
        file.write_bytes(opus(sound))
        text.write_text(said, encoding="utf-8")
    return Note(file.stem, language, text.read_text(encoding="utf-8"), seconds, file.read_bytes())


def _spoken(language: str, seconds: float, seed: str) -> tuple[str, Sound]:
    """Sentences with pauses between them until the time is full; the last one may be cut, as people do."""
    random, said, parts, length = Random(seed), list[str](), list[Sound](), 0  # noqa: S311 - sentences, not secrets
    while length < seconds * RATE:
        said.append(demo_wer.SENTENCES[language](random))
        parts += [_samples(demo_wer.speak(said[-1], language, random)), np.zeros(int(PAUSE_SECONDS * RATE), np.int16)]
        length += parts[-2].size + parts[-1].size
    return " ".join(said), np.concatenate(parts)[: int(seconds * RATE)]


def _samples(wav: bytes) -> Sound:
    """A WAV of espeak-ng at the rate that Opus takes."""
    with wave.open(io.BytesIO(_mended(wav))) as file:
        rate, raw = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), np.int16)
    places = np.arange(int(raw.size * RATE / rate)) * (rate / RATE)
    sound: Sound = np.interp(places, np.arange(raw.size), raw).astype(np.int16)
    return sound


def _mended(wav: bytes) -> bytes:
    """espeak-ng writes to a pipe before the length is known, and leaves a number near the largest."""
    size = (len(wav) - 44).to_bytes(4, "little")
    return wav[:40] + size + wav[44:]


def opus(sound: Sound) -> bytes:
    """Mono samples at 48 kHz as an OGG/Opus file."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="ogg") as container:
        stream: Any = container.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = BITS
        for frame in _frames(sound):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sink.getvalue()


def _frames(sound: Sound) -> Iterator[av.AudioFrame]:
    size = RATE // 50
    padded = np.pad(sound, (0, -sound.size % size))
    for number, piece in enumerate(padded.reshape(-1, 1, size)):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, number * size, Fraction(1, RATE)
        yield frame


def in_turn(made: list[Note], count: int, *, start: int = 0) -> Iterator[Note]:
    """So many of them, over and over."""
    return islice((made[(start + number) % len(made)] for number in range(count)), count)
