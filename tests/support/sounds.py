"""Sounds without a word in them: silence, hum, noises, a tone, music, a keyboard.

Made from fixed seeds, the same on every machine. Every sound is mono at 16 kHz, float32 within [-1, 1], shape
(samples,); a level is the whole sound's, in dB below full scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RATE: Final = 16_000
MAINS_HZ: Final = 50
MIDDLE_C_HZ: Final = 261.6
BEAT_SECONDS: Final = 0.3
MAJOR: Final = (0, 2, 4, 5, 7, 9, 11, 12)
CHORDS: Final = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
CLICK_SECONDS: Final = 0.03

Sound = NDArray[np.float32]
Wave = NDArray[np.float64]


def silence(seconds: float, _level: float) -> Sound:
    """Nothing at all."""
    return np.zeros(int(seconds * RATE), np.float32)


def hum(seconds: float, level: float) -> Sound:
    """What a cable picks up from the mains: 50 Hz and its multiples, swelling slowly."""
    at = _times(seconds)
    harmonics = ((1, 1.0), (2, 0.6), (3, 0.5), (5, 0.25), (7, 0.12))
    wave = sum((loud * np.sin(2 * np.pi * MAINS_HZ * n * at + n) for n, loud in harmonics), np.zeros(at.size))
    return _at_level(wave * (1 + 0.05 * np.sin(2 * np.pi * 0.7 * at)), level)


def white_noise(seconds: float, level: float) -> Sound:
    """As much of every frequency."""
    return _at_level(_random(3).standard_normal(int(seconds * RATE)), level)


def pink_noise(seconds: float, level: float) -> Sound:
    """Less of the high ones, like wind and rooms."""
    samples = int(seconds * RATE)
    spectrum = np.fft.rfft(_random(4).standard_normal(samples))
    return _at_level(np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(spectrum.size), 1)), samples), level)


def tone(seconds: float, level: float) -> Sound:
    """1 kHz."""
    return _at_level(np.sin(2 * np.pi * 1_000 * _times(seconds)), level)


def music(seconds: float, level: float) -> Sound:
    """A plucked melody over four chords and a drum."""
    mix, random = np.zeros(int((seconds + 2) * RATE)), _random(5)
    for beat in range(int(seconds / BEAT_SECONDS)):
        start = beat * BEAT_SECONDS
        _add(mix, start, _plucked(MIDDLE_C_HZ * 2 ** (MAJOR[random.integers(len(MAJOR))] / 12)))
        _add(mix, start, 0.3 * random.standard_normal(800) * np.exp(-np.arange(800) / 200))
        for step in CHORDS[beat // 4 % len(CHORDS)] if beat % 4 == 0 else ():
            _add(mix, start, 0.4 * _held(MIDDLE_C_HZ / 2 * 2 ** (step / 12)))
    return _at_level(mix[: int(seconds * RATE)], level)


def keyboard(seconds: float, level: float) -> Sound:
    """Typing: a click for each key that goes down, a softer one when it comes up."""
    random = _random(7)
    mix, start = 1e-4 * random.standard_normal(int(seconds * RATE)), 0.2
    while start < seconds - 0.3:
        _add(mix, start, random.uniform(0.4, 1) * _click(random))
        _add(mix, start + random.uniform(0.06, 0.1), random.uniform(0.2, 0.5) * _click(random))
        start += 0.06 + random.exponential(0.12)
    return _at_level(mix, level)


SOUNDS: Final[dict[str, Callable[[float, float], Sound]]] = {
    "silence": silence,
    "hum": hum,
    "white noise": white_noise,
    "pink noise": pink_noise,
    "tone": tone,
    "music": music,
    "keyboard": keyboard,
}
"""Name -> (seconds, level in dB) -> the sound."""


def _plucked(hertz: float) -> Wave:
    at = _times(0.6)
    return sum((np.sin(2 * np.pi * hertz * n * at) / n * np.exp(-at * (2 + n)) for n in range(1, 7)), np.zeros(at.size))


def _held(hertz: float) -> Wave:
    at = _times(4 * BEAT_SECONDS)
    edges = np.minimum(1, np.minimum(at, at[::-1]) / 0.05)
    return edges * sum((np.sin(2 * np.pi * hertz * n * at) / n**2 for n in range(1, 6)), np.zeros(at.size))


def _click(random: np.random.Generator) -> Wave:
    at = _times(CLICK_SECONDS)
    body = 0.5 * np.sin(2 * np.pi * random.uniform(300, 900) * at) * np.exp(-at * 150)
    return random.standard_normal(at.size) * np.exp(-at * 250) + body


def _times(seconds: float) -> Wave:
    return np.arange(int(seconds * RATE)) / RATE


def _random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _add(mix: Wave, start: float, sound: Wave) -> None:
    place = int(start * RATE)
    end = min(place + sound.size, mix.size)
    mix[place:end] += sound[: end - place]


def _at_level(wave: Any, level: float) -> Sound:
    scaled = wave / np.sqrt(np.mean(np.square(wave))) * 10 ** (level / 20)
    sound: Sound = np.clip(scaled, -1, 1).astype(np.float32)
    return sound
