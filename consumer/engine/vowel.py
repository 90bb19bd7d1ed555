"""A sound for self-tests that is speech to voice detection, and of which models make a short text."""

from typing import Final

import numpy as np

from sttd.consumer.pcm import SAMPLE_RATE, Pcm

RESONANCES: Final = ((450, 80), (800, 100), (2500, 150))
"""Centre and half width of those of an "o", Hz."""


def vowel() -> Pcm:
    """A second with an "o" in it, as a voice makes it; shape (samples,), 16 kHz.

    Its text is short: `base` writes "Oh" in 0.5 core s for both runs; for a tone a loop of 220 tokens, in 8 core s.
    """
    turns = np.cumsum(np.linspace(140, 110, SAMPLE_RATE * 3 // 5)) / SAMPLE_RATE
    overtones = np.arange(1, 25)[:, None]
    strength = sum(1 / (1 + ((125 * overtones - centre) / width) ** 2) for centre, width in RESONANCES)
    voice = (strength * np.cos(2 * np.pi * overtones * turns)).sum(axis=0)
    fade = np.minimum(1, np.minimum(np.arange(turns.size) / 800, np.arange(turns.size)[::-1] / 1600))
    return np.pad(0.5 * fade * voice / np.abs(voice).max(), SAMPLE_RATE // 5).astype(np.float32)
