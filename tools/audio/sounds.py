"""Sounds without a word in them: silence, hum, noises, tones, music, a keyboard, a line that rings, breath.

Made from seeds, the same on every machine. Every sound is mono at 16 kHz, float32 within [-1, 1], shape (samples,); a
level is the whole sound's, in dB below full scale.
"""

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

RATE: Final = 16_000
MAINS_HZ: Final = 50
MIDDLE_C_HZ: Final = 261.6
BEAT_SECONDS: Final = 0.3
MAJOR: Final = (0, 2, 4, 5, 7, 9, 11, 12)
CHORDS: Final = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
CLICK_SECONDS: Final = 0.03
LINE_HZ: Final = 425
"""Of the tones of European telephone lines."""
BREATH_SECONDS: Final = 3.2
VOWELS: Final = ((730, 1090, 2440), (570, 840, 2410), (300, 870, 2240))
"""Formants of "a", "o", "u", in Hz."""

Sound = NDArray[np.float32]
Wave = NDArray[np.float64]


class Maker(Protocol):
    """Makes one kind of sound."""

    def __call__(self, seconds: float, level: float, seed: int = 0, /) -> Sound:
        """`level`: dB; other seeds give other sounds of the kind."""


def silence(seconds: float, _level: float, _seed: int = 0, /) -> Sound:
    """Nothing at all."""
    return np.zeros(int(seconds * RATE), np.float32)


def hum(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """What a cable picks up from the mains: 50 Hz and its multiples, swelling slowly."""
    at = _times(seconds)
    harmonics = ((1, 1.0), (2, 0.6), (3, 0.5), (5, 0.25), (7, 0.12))
    wave = sum((loud * np.sin(2 * np.pi * MAINS_HZ * n * at + n + seed) for n, loud in harmonics), np.zeros(at.size))
    return _at_level(wave * (1 + 0.05 * np.sin(2 * np.pi * 0.7 * at)), level)


def white_noise(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """As much of every frequency."""
    return _at_level(_random(3, seed).standard_normal(int(seconds * RATE)), level)


def pink_noise(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """Less of the high ones, like wind and rooms."""
    return _at_level(_coloured(_random(4, seed), seconds, 0.5), level)


def wind(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """Low noise that comes in gusts."""
    at, random = _times(seconds), _random(8, seed)
    gusts = sum((np.sin(2 * np.pi * random.uniform(0.05, 0.6) * at + random.uniform(0, 6)) for _ in range(4)), at * 0)
    return _at_level(_coloured(random, seconds, 1.0) * np.exp(0.6 * gusts), level)


def tone(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """1 kHz, or another pitch."""
    return _at_level(np.sin(2 * np.pi * (1_000 + 137 * seed) * _times(seconds)), level)


def ringback(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """A line that rings at the other end, one second in five; with an odd seed a busy one."""
    at = _times(seconds)
    on, whole = (0.35, 0.7) if seed % 2 else (1.0, 5.0)
    return _at_level(np.sin(2 * np.pi * LINE_HZ * at) * (at % whole < on) + 1e-4, level)


def breath(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """In and out, close to the microphone."""
    at, random = _times(seconds), _random(9, seed)
    swell = np.sin(np.pi * at / random.uniform(0.8, 1.2) / BREATH_SECONDS * 2) ** 2
    return _at_level(_coloured(random, seconds, 0.3) * (0.02 + swell**2), level)


def clicks(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """A bad contact: single clicks, and almost silence between them."""
    random = _random(10, seed)
    mix, start = 1e-4 * random.standard_normal(int(seconds * RATE)), random.uniform(0, 0.5)
    while start < seconds:
        _add(mix, start, random.uniform(0.2, 1) * _click(random))
        start += 0.1 + random.exponential(0.9)
    return _at_level(mix, level)


def music(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """A plucked melody over four chords and a drum."""
    mix, random = np.zeros(int((seconds + 2) * RATE)), _random(5, seed)
    for beat in range(int(seconds / BEAT_SECONDS)):
        start = beat * BEAT_SECONDS
        _add(mix, start, _plucked(MIDDLE_C_HZ * 2 ** (MAJOR[random.integers(len(MAJOR))] / 12)))
        _add(mix, start, 0.3 * random.standard_normal(800) * np.exp(-np.arange(800) / 200))
        for step in CHORDS[beat // 4 % len(CHORDS)] if beat % 4 == 0 else ():
            _add(mix, start, 0.4 * _held(MIDDLE_C_HZ / 2 * 2 ** (step / 12)))
    return _at_level(mix[: int(seconds * RATE)], level)


def organ(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """Slow chords under a melody that trembles like a voice."""
    mix, random, step = np.zeros(int((seconds + 2) * RATE)), _random(6, seed), 4 * BEAT_SECONDS
    for place in range(int(seconds / step) + 1):
        for note in CHORDS[random.integers(len(CHORDS))]:
            _add(mix, place * step, 0.5 * _held(MIDDLE_C_HZ * 2 ** (note / 12)))
        _add(mix, place * step, _trembling(MIDDLE_C_HZ * 2 ** (MAJOR[random.integers(len(MAJOR))] / 12)))
    return _at_level(mix[: int(seconds * RATE)], level)


def choir(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """Three voices that sing "a", "o", "u" on long notes: the spectrum of a voice, and no word."""
    mix, random, step = np.zeros(int((seconds + 2) * RATE)), _random(11, seed), 4 * BEAT_SECONDS
    for place in range(int(seconds / step) + 1):
        vowel = VOWELS[random.integers(len(VOWELS))]
        for note in CHORDS[random.integers(len(CHORDS))]:
            _add(mix, place * step, _sung(MIDDLE_C_HZ / 2 * 2 ** (note / 12), vowel))
    return _at_level(mix[: int(seconds * RATE)], level)


def keyboard(seconds: float, level: float, seed: int = 0, /) -> Sound:
    """Typing: a click for each key that goes down, a softer one when it comes up."""
    random = _random(7, seed)
    mix, start = 1e-4 * random.standard_normal(int(seconds * RATE)), 0.2
    while start < seconds - 0.3:
        _add(mix, start, random.uniform(0.4, 1) * _click(random))
        _add(mix, start + random.uniform(0.06, 0.1), random.uniform(0.2, 0.5) * _click(random))
        start += 0.06 + random.exponential(0.12)
    return _at_level(mix, level)


SOUNDS: Final[dict[str, Maker]] = {
    "silence": silence,
    "hum": hum,
    "white noise": white_noise,
    "pink noise": pink_noise,
    "wind": wind,
    "tone": tone,
    "ringback": ringback,
    "breath": breath,
    "clicks": clicks,
    "music": music,
    "organ": organ,
    "keyboard": keyboard,
    "choir": choir,
}
"""By name."""


def _coloured(random: np.random.Generator, seconds: float, steepness: float) -> Wave:
    """Noise whose spectrum falls with the frequency to this power."""
    samples = int(seconds * RATE)
    spectrum = np.fft.rfft(random.standard_normal(samples))
    wave: Wave = np.fft.irfft(spectrum / np.maximum(np.arange(spectrum.size), 1) ** steepness, samples)
    return wave


def _plucked(hertz: float) -> Wave:
    at = _times(0.6)
    return sum((np.sin(2 * np.pi * hertz * n * at) / n * np.exp(-at * (2 + n)) for n in range(1, 7)), np.zeros(at.size))


def _held(hertz: float) -> Wave:
    at = _times(4 * BEAT_SECONDS)
    edges = np.minimum(1, np.minimum(at, at[::-1]) / 0.05)
    return edges * sum((np.sin(2 * np.pi * hertz * n * at) / n**2 for n in range(1, 6)), np.zeros(at.size))


def _trembling(hertz: float) -> Wave:
    at = _times(4 * BEAT_SECONDS)
    edges = np.minimum(1, np.minimum(at, at[::-1]) / 0.1)
    phase = 2 * np.pi * hertz * (at + 0.004 / 5 * np.sin(2 * np.pi * 5 * at))
    return edges * sum((np.sin(n * phase) / n for n in range(1, 9)), np.zeros(at.size))


def _sung(hertz: float, vowel: tuple[int, ...]) -> Wave:
    at = _times(4 * BEAT_SECONDS)
    edges = np.minimum(1, np.minimum(at, at[::-1]) / 0.1)
    phase = 2 * np.pi * hertz * (at + 0.003 / 5 * np.sin(2 * np.pi * 5 * at))
    loud = [sum(1 / (1 + ((hertz * n - formant) / 90) ** 2) for formant in vowel) for n in range(1, 25)]
    return edges * sum((power * np.sin(n * phase) for n, power in enumerate(loud, 1)), np.zeros(at.size))


def _click(random: np.random.Generator) -> Wave:
    at = _times(CLICK_SECONDS)
    body = 0.5 * np.sin(2 * np.pi * random.uniform(300, 900) * at) * np.exp(-at * 150)
    return random.standard_normal(at.size) * np.exp(-at * 250) + body


def _times(seconds: float) -> Wave:
    return np.arange(int(seconds * RATE)) / RATE


def _random(kind: int, seed: int) -> np.random.Generator:
    return np.random.default_rng(kind if seed == 0 else (kind, seed))


def _add(mix: Wave, start: float, sound: Wave) -> None:
    place = int(start * RATE)
    end = min(place + sound.size, mix.size)
    mix[place:end] += sound[: end - place]


def _at_level(wave: Any, level: float) -> Sound:
    scaled = wave / np.sqrt(np.mean(np.square(wave))) * 10 ** (level / 20)
    sound: Sound = np.clip(scaled, -1, 1).astype(np.float32)
    return sound
