"""Confidence: the model's own figures become the expected share of right words, where that was measured."""

from itertools import pairwise

import pytest

from sttd.consumer.engine.model import confidence
from sttd.consumer.engine.model.confidence import MEASURED, SIZES, Calibration, Curve
from sttd.consumer.engine.model.contexts import BASE
from sttd.consumer.engine.transcriber import Transcription
from sttd.schemas.reply import Segment, Word

WORDS = Curve(((0.2, 0.4), (0.6, 0.8), (1.0, 0.9)))
RATED = Calibration(words=WORDS, segments=Curve(((-1.0, 0.3), (-0.2, 0.9))))


def segment(logprob: float = -0.6, text: str = " раз", words: list[Word] | None = None) -> Segment:
    """As the engine gives it."""
    return Segment(
        id=0,
        start=0,
        end=1,
        text=text,
        avg_logprob=logprob,
        no_speech_prob=0.0,
        compression_ratio=1.0,
        words=words,
    )


@pytest.mark.parametrize(("figure", "share"), [(0.0, 0.4), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.85), (1.1, 0.9)])
def test_a_curve_is_straight_between_its_points_and_level_beyond(figure: float, share: float) -> None:
    """What was never measured gets the nearest that was."""
    assert WORDS.at(figure) == share


def test_a_segment_without_words_goes_by_its_average_probability() -> None:
    """It is there without extra cost."""
    (rated,) = RATED.rated([segment(-0.6)])
    assert (rated.confidence, rated.words) == (0.6, None)


def test_a_segment_with_words_is_as_sure_as_they_are_in_the_mean() -> None:
    """That is the share of them that is expected to be right; a dash alone is no word."""
    said = [
        Word(start=0, end=1, word=word, probability=sure) for word, sure in ((" раз", 0.2), (" -", 0.0), (" два", 1))
    ]
    (rated,) = RATED.rated([segment(words=said)])
    assert rated.words is not None
    assert [word.confidence for word in rated.words] == [0.4, 0.4, 0.9]
    assert rated.confidence == 0.65


def test_a_text_is_as_sure_as_its_segments_by_their_words() -> None:
    """Three words at 0.9 and one at 0.5."""
    sure, unsure = segment(text=" раз два три"), segment(text=" да")
    rated = [sure.model_copy(update={"confidence": 0.9}), unsure.model_copy(update={"confidence": 0.5})]
    assert Transcription(rated, "ru", 1.0).confidence == 0.8
    assert Transcription([rated[0], unsure], "ru", 1.0).confidence is None
    assert Transcription([], "ru", 1.0).confidence is None


def test_only_measured_models_have_one_and_others_are_not_even_hashed() -> None:
    """A hash of a large file takes seconds at each start."""
    assert confidence.known(min(SIZES), lambda: BASE) is MEASURED[BASE]
    assert confidence.known(min(SIZES), lambda: "another of the same size") == {}
    assert confidence.known(1, lambda: pytest.fail("hashed")) == {}


@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_curves_of_base_rise_and_are_shares(language: str) -> None:
    """A more probable word is never less sure."""
    found = MEASURED[BASE][language]
    for curve in (found.words, found.segments):
        assert 3 <= len(curve.points) <= 15
        assert all(left < right and low <= high for (left, low), (right, high) in pairwise(curve.points))
        assert 0 < curve.points[0][1] < curve.points[-1][1] < 1
