"""The notes of the benchmark: human utterances joined to a length, as messengers send them."""

import io
import itertools
import wave
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from bench import notes
from tools.voices import RATE, Utterance


def voices(folder: Path, *lengths: float) -> list[Utterance]:
    """Of each of the two voices one utterance of each length."""
    made = []
    for name, (number, seconds) in itertools.product(notes.VOICES, enumerate(lengths)):
        path = folder / f"{name}-{number}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(2 * int(8000 * seconds)))
        made.append(Utterance(name, str(number), path, f"слово {number}", name, "ru"))
    return made


@pytest.mark.parametrize("seconds", [3, 6, 12, 20])
def test_a_note_has_its_length_and_one_voice(seconds: float, tmp_path: Path) -> None:
    """The figures of a length are those of that length; two voices in one note would be no note."""
    spoken = voices(tmp_path, 1.1, 3.0, 5.0, 2.2, 8.0, 4.1)
    for number in range(4):
        parts = notes.joined(spoken, seconds, number)
        length = sum(part.seconds for part in parts) + notes.PAUSE_SECONDS * (len(parts) - 1)
        assert length == pytest.approx(seconds, rel=notes.NEAR)
        assert {part.set for part in parts} == {notes.VOICES[number % 2]}
        assert len({part.name for part in parts}) == len(parts)


def test_a_long_note_has_both_voices_and_no_utterance_twice(tmp_path: Path) -> None:
    """Where one voice has not enough."""
    parts = notes.joined(voices(tmp_path, 1.0, 3.0, 5.0, 2.0, 8.0, 4.0), 35, 0)
    assert {part.set for part in parts} == set(notes.VOICES)
    assert len({(part.set, part.name) for part in parts}) == len(parts)
    with pytest.raises(ValueError, match="do not fill"):
        notes.joined(voices(tmp_path, 1.0, 3.0), 35, 0)


def test_encoded_notes_have_their_length() -> None:
    """A note of 3 s is decoded as 3 s, whatever the codec's frames are."""
    sound = (8000 * np.sin(np.arange(3 * RATE) / 7)).astype(np.int16)
    samples = decode_audio(io.BytesIO(notes.opus(sound)))
    assert samples.size / 16_000 == pytest.approx(3.0, abs=0.02)
    assert np.abs(samples).max() > 0.1
