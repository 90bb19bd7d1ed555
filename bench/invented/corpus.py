"""What is transcribed: sounds without a word, made on the spot, and human speech that is faint, cut or 30 to 32 s long.

Pure but for the decoding of speech.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any, Final

import numpy as np

from bench.accuracy.modes import Note
from tools.audio.sounds import SOUNDS
from tools.voices import RATE, Utterance

NO_SPEECH: Final = "no-speech"
LENGTHS: Final = (2.0, 5.0, 1.0, 8.0, 3.0, 12.0, 20.0, 29.0, 30.4, 31.0, 32.0)
"""Seconds. Those over 30 end in a window of a sliver."""
SHORT_FORM: Final = 6
"""So many of the lengths."""
LEVELS: Final = (-30.0, -20.0, -40.0, -50.0)
ROUNDS: Final = 2
LANGUAGES: Final = ("ru", "auto")

MURMUR: Final = "murmur"
VOICES: Final = 5

FAINT: Final = "faint"
CUT: Final = "cut"
SLIVER: Final = "sliver"
SPEECH: Final = (FAINT, CUT, SLIVER)
FAINT_LEVEL: Final = -50.0
BREATH_SECONDS: Final = 0.4
CUT_AT: Final = (0.15, 0.7)
"""Which part of an utterance is left: it begins and ends inside words."""


@dataclass(frozen=True, slots=True)
class Made(Note):
    """A sound without a word. `seed`: other ones of its kind."""

    kind: str
    length: float
    level: float
    seed: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.length

    def audio(self) -> Any:
        """Float32 mono samples at 16 kHz, shape (samples,)."""
        return self._murmur() if self.parts else SOUNDS[self.kind](self.length, self.level, self.seed)

    def _murmur(self) -> Any:
        """Many people at once, backwards: the sound of speech without a word."""
        size = int(self.length * RATE)
        mixed = np.sum([np.resize(part.audio()[::-1], size) for part in self.parts], axis=0)
        return (mixed / np.sqrt(np.mean(np.square(mixed))) * 10 ** (self.level / 20)).clip(-1, 1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Spoilt(Note):
    """Human speech that is not as it was recorded. `length`: seconds that are left of it, at most."""

    length: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.length

    def audio(self) -> Any:
        """Float32 mono samples at 16 kHz, shape (samples,)."""
        breath = np.zeros(int(BREATH_SECONDS * RATE), np.float32)
        sound = np.concatenate([piece for part in self.parts for piece in (breath, part.audio())][1:])
        if self.set == FAINT:
            return (sound / np.sqrt(np.mean(np.square(sound))) * 10 ** (FAINT_LEVEL / 20)).astype(np.float32)
        first = int(CUT_AT[0] * sound.size) if self.set == CUT else 0
        return sound[first : first + int(self.length * RATE)]


def without_speech(crowd: Sequence[Utterance], *, short: bool) -> Iterator[Note]:
    """All kinds in all lengths by turns, so that a run that is stopped has something of each; half are `auto`.

    `crowd`: whose voices murmur.
    """
    lengths = LENGTHS[:SHORT_FORM] if short else LENGTHS
    for turn in range(1 if short else ROUNDS):
        for place, length in enumerate(lengths):
            for number, kind in enumerate((*SOUNDS, MURMUR)):
                level = LEVELS[(place + number + turn) % len(LEVELS)]
                language = LANGUAGES[(place + number) % len(LANGUAGES)]
                parts = tuple(crowd[place + turn :: len(crowd) // VOICES][:VOICES]) if kind == MURMUR else ()
                name, seed = f"{kind} {turn} {length:g}", turn * 100 + place
                yield Made(MURMUR if parts else NO_SPEECH, name, language, parts, kind, length, level, seed)


def spoilt(utterances: Sequence[Utterance], each: int) -> Iterator[Note]:
    """So many of each kind in `SPEECH`, of different utterances."""
    left = iter(utterances)
    for _, length in zip(range(each), cycle((30.3, 30.6, 31.0, 31.5, 32.0)), strict=False):
        for kind in (FAINT, CUT):
            one = next(left)
            share = CUT_AT[1] - CUT_AT[0] if kind == CUT else 1.0
            yield Spoilt(kind, one.name, one.language, (one,), one.seconds * share)
        yield _sliver(left, length)


def _sliver(left: Iterator[Utterance], length: float) -> Note:
    """Consecutive utterances, cut so that the last window has little more than padding."""
    parts: list[Utterance] = []
    for _ in count():
        parts.append(next(left))
        if sum(one.seconds + BREATH_SECONDS for one in parts) - BREATH_SECONDS > length:
            break
    return Spoilt(SLIVER, f"{parts[0].name} {length:g}", parts[0].language, tuple(parts), length)
