"""The log-mel spectrogram, computed where it is read. faster-whisper makes that of a whole file: 1 MB a second.

Its arithmetic is faster-whisper's, and so is each bit: one that differs can move a timestamp, and so a text.
"""

from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sttd.consumer.pcm import Pcm, floats

PADDING: Final = 160
"""Samples of silence that faster-whisper puts behind the sound."""
RANGE: Final = 8.0
"""Values are clipped at so many powers of ten below the largest of the whole sound."""
BLOCK: Final = 480
"""Frames at a time in numpy's Fourier transform, which takes 8 kB for each."""
PIECE: Final = 3_840
"""Frames at a time in the multiplication by the filters: more than a window has. OpenBLAS multiplies blocks of 320 or
640 frames, or other divisors of this; the last bit of a frame depends on its place in a block, on whether its block is
the first, and on how many frames follow."""
FOLLOWING: Final = 1_536
"""So many and more are as good as any number."""


class WindowedExtractor:
    """Takes the place of a `faster_whisper.FeatureExtractor`; what it returns computes the frames that are read."""

    def __init__(self, extractor: Any) -> None:
        self._extractor = extractor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._extractor, name)

    def __call__(self, sound: Pcm, **_lengths: None) -> "Spectrogram":
        """Compute nothing yet."""
        return Spectrogram(self._extractor, sound)


class Spectrogram:
    """What faster-whisper reads of an array of features: its shape (bands, frames), and `[:, start:stop]`."""

    def __init__(self, extractor: Any, sound: Pcm) -> None:
        """`extractor`: faster-whisper's own, with its filters; `sound`: all of it, of which pieces become floats."""
        self._extractor = extractor
        self._sound = sound
        self.shape = (len(extractor.mel_filters), (sound.size + PADDING) // extractor.hop_length)
        self._window = np.hanning(extractor.n_fft + 1)[:-1].astype(np.float32)
        self._kept: dict[int, NDArray[np.float32]] = {}

    def __getitem__(self, key: tuple[Any, slice]) -> NDArray[np.float32]:
        """The frames of a slice, shape (bands, frames)."""
        start, stop, _ = key[1].indices(self.shape[1])
        pieces = [
            self._piece(at)[:, max(0, start - at) : stop - at]
            for at in range(start - start % PIECE, max(stop, start + 1), PIECE)
        ]
        return (np.maximum(np.concatenate(pieces, axis=1), self._least) + np.float32(4)) / np.float32(4)

    @cached_property
    def _least(self) -> np.float32:
        """The first of two passes over a long sound: it must be known before the first window is encoded."""
        return np.float32(max(self._piece(at).max() for at in range(0, self.shape[1], PIECE)) - RANGE)

    def _piece(self, at: int) -> NDArray[np.float32]:
        """A window lies in two at most, and so does the next."""
        if at not in self._kept:
            self._kept = dict([*self._kept.items()][-1:]) | {at: self._logs(at)}
        return self._kept[at]

    def _logs(self, at: int) -> NDArray[np.float32]:
        """The piece that begins at a frame, not clipped yet."""
        first, last = max(0, at - PIECE), min(at + PIECE + FOLLOWING, self.shape[1])
        power = np.empty((last - first, self._extractor.n_fft // 2 + 1), np.float32)
        for begin in range(first, last, BLOCK):
            block = self._power(begin, min(begin + BLOCK, last))
            power[begin - first :][: len(block)] = block
        bands: NDArray[np.float32] = self._extractor.mel_filters @ power.T
        return np.log10(np.clip(bands[:, at - first :][:, :PIECE], 1e-10, None))

    def _power(self, start: int, stop: int) -> NDArray[np.float32]:
        """Of each frequency, shape (frames, frequencies): the way in which they lie decides how they are added up."""
        own = self._extractor
        half, hop = own.n_fft // 2, own.hop_length
        waves = own.stft(
            self._samples(start * hop - half, (stop - 1) * hop + half),
            own.n_fft,
            hop,
            window=self._window,
            center=False,  # `_samples` has put in what is read beyond both ends
            return_complex=True,
        )
        power: NDArray[np.float32] = np.abs(waves.astype(np.complex64, copy=False)) ** 2
        return power.T

    def _samples(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) of the sound with its silence, mirrored beyond both ends."""
        size, end = self._sound.size, self._sound.size + PADDING
        found = np.zeros(stop - start, np.float32)
        inside = floats(self._sound[max(0, start) : stop])
        found[max(0, -start) :][: inside.size] = inside
        beyond = np.concatenate([np.arange(start, 0), np.arange(end, stop)])
        mirrored = np.abs(beyond)
        mirrored = np.minimum(mirrored, 2 * (end - 1) - mirrored)
        there = mirrored < size
        found[beyond[there] - start] = floats(self._sound[mirrored[there]])
        return found
