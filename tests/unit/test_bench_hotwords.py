"""bench.hotwords without a model: which words count as listed, and how they are judged."""

import pytest

from bench.hotwords.command import LIST
from bench.hotwords.score import Heard, Terms
from sttd.consumer.engine import hotwords


@pytest.fixture
def terms() -> Terms:
    """A short list."""
    return Terms(["Лось", "Эмма", "Руо"])


def test_the_list_is_one_that_the_daemon_reads() -> None:
    """What is measured is the operator's file, not a copy of it."""
    listed = hotwords.read("", LIST)
    assert set(listed.terms) == {"ru"}
    assert len(listed.terms["ru"]) >= 30


@pytest.mark.parametrize(
    ("word", "listed"), [("лося", True), ("эммою", True), ("руо", True), ("рука", False), ("лосятина", False)]
)
def test_a_listed_word_counts_in_every_case(terms: Terms, word: str, listed: bool) -> None:
    """Operators list the nominative; an indeclinable name of three letters has no stem."""
    assert terms.has(word) is listed


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("Лось увидел Эмму", Heard(2, 0, 1, 0)),
        ("Лоз увидел Эмму", Heard(2, 1, 1, 0)),
        ("Лось видел Эмма", Heard(2, 1, 1, 1)),
        ("Лось увидел Эмму Руо", Heard(2, 0, 1, 1)),
        ("", Heard(2, 2, 1, 1)),
    ],
)
def test_listed_words_and_others_are_counted_apart(terms: Terms, text: str, heard: Heard) -> None:
    """A list that mends names and spoils the rest must show both; a name that nobody said is counted too."""
    assert terms.heard("Лось увидел Эмму.", text) == heard
