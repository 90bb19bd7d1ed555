"""The model's segments become the contract's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sttd.consumer.engine.model.segments import RawSegment, RawWord, to_segment
from sttd.consumer.errors import ModelFailed

PLAIN = RawSegment(0.0, 1.0, " text", -0.3, 0.01, 1.1, None)
TIMES = st.floats(-100, 100)


@given(start=TIMES, end=TIMES, duration=st.floats(0.0001, 50))
def test_times_lie_inside_the_audio_and_in_order(start: float, end: float, duration: float) -> None:
    """Whatever the model dreams up in the padding, a player can seek to it."""
    raw = replace(PLAIN, start=start, end=end, words=[RawWord(start, end, " w", 0.5)])
    segment = to_segment(raw, duration=duration)
    [word] = segment.words or []
    assert 0 <= segment.start <= segment.end <= duration
    assert (word.start, word.end) == (segment.start, segment.end)


@pytest.mark.parametrize("field", ["start", "avg_logprob", "no_speech_prob", "compression_ratio"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_number_that_is_none_fails_the_job(field: str, value: float) -> None:
    """NaN is no JSON, and the text beside it is noise: better a retry than a reply that cannot be parsed."""
    wrong: dict[str, Any] = {field: value}
    with pytest.raises(ModelFailed):
        to_segment(replace(PLAIN, **wrong), duration=1.0)


def test_words_are_null_unless_there_are_some_to_give() -> None:
    """`words` is null when not requested, else plain JSON numbers."""
    assert to_segment(PLAIN, duration=1.0).words is None
    word = RawWord(np.float64(0.1), np.float64(0.2), " w", np.float32(0.5))  # type: ignore[arg-type] # as numpy gives them
    raw = replace(PLAIN, words=[word])
    [found] = to_segment(raw, duration=1.0).words or []
    assert [type(value) for value in (found.start, found.end, found.probability)] == [float] * 3
