"""The comparison of two encoders: whether the outputs are near enough, and which needs less core time for a note.

Independent of OpenVINO and ctranslate2: both come in as functions.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sttd.consumer.engine.model.model_file import Floats
from sttd.consumer.engine.model.weights import EncoderUnavailable
from sttd.consumer.pcm import SAMPLE_RATE, Pcm

Encode = Callable[[Floats], Floats]
"""Mel bands (1, bands, 3000) -> encoder output (1, 1500, width), both float32."""

SAME: Final = 0.9999
"""The least cosine of OpenVINO in float32 to ctranslate2 in float32. Base is at 0.99999999999; 1 % of noise in the
weights gives 0.99974, a missing attention bias 0.975, two layers swapped 0.72 (issue 11)."""

ROUNDING: Final = 1.25
"""A faster arithmetic may be this many times as far from float32 as the type that ctranslate2 has loaded."""

NEAR_LOADED: Final = {"int8": 0.98, "other": 0.999}
"""The least cosine to ctranslate2's loaded type, where a copy in float32 has no room. Rougher: int8 itself is at 0.990
for base."""

GAIN: Final = 1.03
"""A whole note must need this many times less core time; below it is the spread of the measurement."""

CLEAR: Final = 1.15
MOST_ROUNDS: Final = 3


@dataclass(slots=True)
class Timed:
    """A piece of work, and the least core time that it has needed, in seconds.

    Core time, not time on the clock: a busy neighbour must not decide the encoder for the rest of the day.
    """

    run: Callable[[], object]
    clock: Callable[[], float] = time.process_time
    least: float = math.inf

    def __call__(self) -> None:
        """Do it and keep the least time."""
        began = self.clock()
        self.run()
        self.least = min(self.least, self.clock() - began)


def gain(ours: Timed, theirs: Timed) -> float:
    """How many times less core time `ours` needs. They alternate, until the result is clear or three rounds are done.

    Both must have run before: the first run touches its memory for the first time and is slower by an unknown amount.
    """
    for _ in range(MOST_ROUNDS):
        ours()
        theirs()
        if not 1 / CLEAR < theirs.least / ours.least < CLEAR:
            break
    return theirs.least / ours.least


def least_cosine(outputs: Sequence[Floats], expected: Sequence[Floats]) -> float:
    """The worst of several pairs; NaN as soon as one pair has different shapes or is no number."""
    found = [cosine(one, other) for one, other in zip(outputs, expected, strict=True)]
    return math.nan if any(math.isnan(value) for value in found) else min(found)


def cosine(one: Floats, other: Floats) -> float:
    """Of all numbers as one vector; NaN for different shapes."""
    if one.shape != other.shape:
        return math.nan
    left, right = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    return float(left @ right / max(np.linalg.norm(left) * np.linalg.norm(right), np.finfo(np.float64).tiny))


def refuse_unlike(ours: float, least: float, against: str) -> None:
    """Raise `EncoderUnavailable` for a cosine `ours` below `least`; written so that NaN fails.

    `against`: the name of the reference, for the message.
    """
    if not ours >= least:
        raise EncoderUnavailable(
            f"its output is not ctranslate2's in {against} (cosine {ours:.6f}, {least:.6f} needed)"
        )


def pseudo_speech(seconds: float = 8.0, pitch_hz: float = 140.0) -> Pcm:
    """A fixed sound with the features of speech: a gliding voice, moving formants, syllables, noise, pauses.

    `pitch_hz`: the voice's middle pitch. Returns float32 mono in [-1, 1], shape (samples,), 16 kHz.
    """
    time_axis = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = pitch_hz + 30 * np.sin(2 * np.pi * 0.7 * time_axis)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    formants = [
        (centre + 0.3 * centre * np.sin(2 * np.pi * rate * time_axis), 120.0)
        for centre, rate in ((550, 1.9), (1500, 1.3), (2600, 0.8))
    ]
    voice = np.zeros_like(time_axis)
    for harmonic in range(1, 25):
        loudness = sum(np.exp(-(((harmonic * pitch - centre) / (2 * width)) ** 2)) for centre, width in formants)
        voice += (loudness + 0.02) * np.sin(harmonic * phase)
    noise = np.random.default_rng(0).standard_normal(time_axis.size)
    phrases = np.sin(2 * np.pi * 0.25 * time_axis) > np.sin(-1)  # two of them, a pause after each
    syllables = np.clip(np.sin(2 * np.pi * 3.3 * time_axis), 0, 1) * phrases
    mixed = 0.1 * voice * syllables + 0.02 * noise * (1 - syllables)
    sound: Pcm = (0.5 * mixed / np.abs(mixed).max()).astype(np.float32)
    return sound


def sounds() -> list[Pcm]:
    """Three sounds of different length and pitch. The first one alone decides about float32."""
    return [pseudo_speech(), pseudo_speech(20.0, 210.0), pseudo_speech(3.0, 100.0)]
