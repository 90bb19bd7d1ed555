"""One sound's model: a rest that the window before has heard is not decoded again where contexts are short."""

from typing import Any

import numpy as np
import pytest

from sttd.consumer.engine.model.one_sound import REST, OneSound


class Model:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.encoded: list[int] = []

    def encode(self, mel: Any) -> str:
        self.encoded.append(int(np.flatnonzero(mel[0].any(axis=0))[-1]) + 1)
        return "window"

    def generate(self, features: Any) -> Any:
        return [f"tokens of the {features}"]


def window(frames: int) -> Any:
    """So many frames of audio, padded."""
    mel = np.zeros((1, 80, 3000), np.float32)
    mel[:, :, :frames] = 1
    return mel


@pytest.mark.parametrize(
    ("windows", "encoded"),
    [
        ([500, REST - 1], [500]),  # the window before has heard it
        ([500, REST], [500, REST]),  # long enough for a word
        ([3000, REST - 1], [3000, REST - 1]),  # behind a whole window nobody has heard it
        ([REST - 1], [REST - 1]),  # a note of one word
        ([3000, 500, 20], [3000, 500]),
    ],
)
def test_a_rest_is_decoded_only_where_no_window_before_has_heard_it(windows: list[int], encoded: list[int]) -> None:
    """In 0.3 s and padding `base` reads captions; 64 of 706 notes ended with such a rest."""
    model = Model()
    sound = OneSound(model, rests=False)
    outputs = [sound.encode(window(frames)) for frames in windows]
    assert model.encoded == encoded
    for output in outputs:
        (tokens,) = sound.generate(output)
        if output == "window":
            assert tokens == "tokens of the window"
        else:
            assert (tokens.sequences_ids, sound.align(output)[0].alignments) == ([[]], [])


def test_with_whole_windows_every_rest_is_decoded_as_stock_does() -> None:
    """Texts are then stock's, letter by letter."""
    model = Model()
    sound = OneSound(model)
    for frames in (500, 20):
        sound.encode(window(frames))
    assert model.encoded == [500, 20]


def test_a_first_window_that_is_known_is_not_encoded_again() -> None:
    """With `auto` it served the detection of the language."""
    model = Model()
    sound = OneSound(model, "known")
    assert [sound.encode(window(3000)), sound.encode(window(500))] == ["known", "window"]
    assert model.encoded == [500]
