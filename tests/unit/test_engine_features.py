"""Spectrogram and speech, computed a piece at a time, are those that faster-whisper computes of the whole file."""

import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from faster_whisper import vad
from faster_whisper.audio import decode_audio
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from sttd.consumer.engine.model.spectrogram import WindowedExtractor
from sttd.consumer.engine.model.speech import Detector
from sttd.consumer.pcm import SAMPLE_RATE, floats
from sttd.samples import FOLDER

Sound = NDArray[np.int16]

LAST_BIT: Final = 2.4e-7
"""Of values up to 2."""
MIB: Final = 2**20


@pytest.fixture(scope="module")
def spoken() -> Sound:
    """86 s of speech, as the decoder gives it."""
    sound: Sound = (decode_audio(str(FOLDER / "ru-long.ogg")) * 32_768).astype(np.int16)
    return sound


@pytest.fixture(scope="module")
def growing(spoken: Sound) -> Sound:
    """Speech that is quiet first: the last part decides how the first is clipped."""
    return np.concatenate([spoken // 200, np.zeros(5 * SAMPLE_RATE, np.int16), spoken])


@pytest.fixture(scope="module")
def stock(growing: Sound) -> NDArray[np.float32]:
    """faster-whisper's spectrogram of it."""
    features: NDArray[np.float32] = FeatureExtractor()(floats(growing))
    return features


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 1_599, 80_000, 272_048, 479_999, 480_000])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_the_spectrogram_of_a_note_is_faster_whispers_bit_for_bit(spoken: Sound, samples: int, kind: type) -> None:
    """Up to 30 s, the length of a window: one bit could change a word."""
    note = spoken[:samples] if kind is np.int16 else floats(spoken[:samples])
    stock, ours = FeatureExtractor()(floats(note)), WindowedExtractor(FeatureExtractor())(note)
    assert ours.shape == stock.shape
    read = slice(0, max(1, stock.shape[1] - 1))  # the last frame is silence; of 30 s it is one frame too many
    assert np.array_equal(ours[:, read], stock[:, read])


@pytest.mark.parametrize(("start", "stop"), [(0, 3000), (2999, 3002), (7, 3007), (7_700, 10_700), (15_000, 18_000)])
def test_a_window_of_a_long_sound_is_clipped_at_the_maximum_of_all_of_it(
    growing: Sound, stock: NDArray[np.float32], start: int, stop: int
) -> None:
    """Two passes: the loudest frame of the file may be in its last window, and faster-whisper clips the first by it."""
    ours = WindowedExtractor(FeatureExtractor())(growing)[:, start:stop]
    assert ours.shape == stock[:, start:stop].shape
    assert np.abs(ours - stock[:, start:stop]).max() <= LAST_BIT


def test_the_whole_spectrogram_is_had_frame_by_frame(growing: Sound, stock: NDArray[np.float32]) -> None:
    """Whatever is asked for, up to the last frame."""
    ours = WindowedExtractor(FeatureExtractor())(growing)
    pieces = np.concatenate([ours[:, at : at + 1_234] for at in range(0, ours.shape[1], 1_234)], axis=1)
    assert np.abs(pieces - stock).max() <= LAST_BIT


@pytest.mark.parametrize("samples", [0, 1, 16_000, 48_000, 500 * 512, 60 * SAMPLE_RATE])
def test_speech_is_where_faster_whisper_finds_it_in_the_whole(growing: Sound, samples: int) -> None:
    """The detector remembers what it has heard, from piece to piece; a span more or less would change windows."""
    sound = growing[90 * SAMPLE_RATE :][:samples]
    for longest in (float("inf"), 5.0):
        stock = vad.get_speech_timestamps(floats(sound), vad.VadOptions(max_speech_duration_s=longest))
        expected = [(chunk["start"], chunk["end"]) for chunk in stock]
        assert Detector(vad).spans(sound, longest) == expected or (not expected and sound.size < 2 * SAMPLE_RATE)


def test_the_detectors_answers_are_the_same_number_for_number(growing: Sound) -> None:
    """Spans alone could agree by luck."""
    from sttd.consumer.engine.model.speech import _probabilities  # noqa: PLC0415 - what the spans are made of

    for samples in (1_200 * 512, 500 * 512 + 1, 1_000 * 512 - 1):
        sound = growing[-samples:]
        stock = vad.get_vad_model()(np.pad(floats(sound), (0, 512 - samples % 512)))
        assert np.array_equal(_probabilities(vad.get_vad_model().session.run, sound), stock)


@pytest.mark.parametrize(
    ("read", "most"),
    [
        (lambda sound: WindowedExtractor(FeatureExtractor())(sound)[:, 3_000:6_000], 18),
        (lambda sound: Detector(vad).spans(sound), 8),
    ],
    ids=["spectrogram", "speech"],
)
def test_three_minutes_take_the_memory_of_a_window(spoken: Sound, read: Callable[[Sound], Any], most: float) -> None:
    """A second of spectrogram was 1 MB, and of voice detection 146 kB: of 173 s 178 and 25 MB."""
    sound = np.tile(spoken, 2)
    read(sound[:SAMPLE_RATE])
    tracemalloc.start()
    try:
        read(sound)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most * MIB
