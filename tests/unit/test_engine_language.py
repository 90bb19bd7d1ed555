"""Which language a note is in."""

from dataclasses import replace

import pytest

from sttd.consumer.engine.model import language
from sttd.consumer.engine.transcriber import JobOptions

AUTO = JobOptions("auto", "ru", temperature=0.0)
HEARD = {"uk": 0.6, "ru": 0.3, "en": 0.1}


@pytest.mark.parametrize(
    ("allowed", "default", "chosen"),
    [
        (None, "ru", "uk"),  # no set: the model's own order
        (("uk", "en"), "ru", "uk"),  # sure enough
        (("en", "ru"), "en", "en"),  # unsure: the default, being in the set
        (("en", "ru"), "de", "ru"),  # unsure, but the default is not allowed
        (("en", "ru"), "auto", "ru"),  # a daemon without a default
        (("yue", "en"), "ru", "en"),  # a code that this model does not have cannot win
    ],
)
def test_auto_chooses_within_the_set(allowed: tuple[str, ...] | None, default: str, chosen: str) -> None:
    """A bot for two languages never gets a third one back."""
    options = replace(AUTO, languages=allowed, default_language=default)
    assert language.choose(HEARD, options) == (chosen, HEARD[chosen])


@pytest.mark.parametrize(
    ("probability", "default", "chosen"),
    [
        (language.SURE, "ru", "uk"),
        (language.SURE - 0.01, "ru", "ru"),
        (language.SURE - 0.01, "auto", "uk"),  # a daemon without a default
        (language.SURE - 0.01, "yue", "uk"),  # a default that this model does not have
    ],
)
def test_where_the_model_is_not_sure_the_default_language_wins(probability: float, default: str, chosen: str) -> None:
    """In a note of a second many languages are a little probable, and most notes are in the operator's language."""
    heard = {"uk": probability, "ru": 0.3}
    assert language.choose(heard, replace(AUTO, default_language=default)) == (chosen, heard[chosen])


@pytest.mark.parametrize(
    ("asked", "allowed", "default", "answer"),
    [
        ("de", None, "ru", ("de", 1.0)),
        ("auto", None, "ru", ("ru", 0.0)),
        ("auto", ("en", "fr"), "ru", ("en", 0.0)),
        ("auto", None, "auto", (language.UNHEARD, 0.0)),
    ],
)
def test_silence_is_in_the_language_that_was_expected(
    asked: str, allowed: tuple[str, ...] | None, default: str, answer: tuple[str, float]
) -> None:
    """Silence is a success and its reply has a language; the probability separates a guess from a choice."""
    assert language.of_silence(replace(AUTO, language=asked, languages=allowed, default_language=default)) == answer
