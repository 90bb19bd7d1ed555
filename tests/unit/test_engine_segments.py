"""The model's segments become the contract's."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sttd.consumer.engine.model.segments import to_segment
from sttd.consumer.errors import ModelFailed


@dataclass
class Word:
    """As faster-whisper has it."""

    start: float
    end: float
    word: str
    probability: float


@dataclass
class Segment:
    """As faster-whisper has it."""

    start: float = 0.0
    end: float = 1.0
    text: str = " text"
    avg_logprob: float = -0.3
    no_speech_prob: float = 0.01
    compression_ratio: float = 1.1
    words: list[Word] | None = None


TIMES = st.floats(-100, 100)


@given(start=TIMES, end=TIMES, duration=st.floats(0.0001, 50))
def test_times_lie_inside_the_audio_and_in_order(start: float, end: float, duration: float) -> None:
    """Whatever the model dreams up in the padding, a player can seek to it."""
    raw = Segment(start, end, words=[Word(start, end, " w", 0.5)])
    segment = to_segment(raw, duration=duration)
    [word] = segment.words or []
    assert 0 <= segment.start <= segment.end <= duration
    assert (word.start, word.end) == (segment.start, segment.end)


@pytest.mark.parametrize("field", ["start", "avg_logprob", "no_speech_prob", "compression_ratio"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_number_that_is_none_fails_the_job(field: str, value: float) -> None:
    """NaN is no JSON, and the text beside it is noise: better a retry than a reply that cannot be parsed."""
    raw = Segment()
    setattr(raw, field, value)
    with pytest.raises(ModelFailed):
        to_segment(raw, duration=1.0)


def test_words_are_null_unless_there_are_some_to_give() -> None:
    """`words` is null when not requested, else plain JSON numbers."""
    assert to_segment(Segment(), duration=1.0).words is None
    raw = Segment(words=[Word(np.float64(0.1), np.float64(0.2), " w", np.float32(0.5))])  # type: ignore[arg-type] # as numpy gives them
    [word] = to_segment(raw, duration=1.0).words or []
    assert [type(value) for value in (word.start, word.end, word.probability)] == [float] * 3
