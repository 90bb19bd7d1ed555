"""Numbers in transcripts, written one way: what becomes digits, what stays, and that nothing else changes."""

import random
import re
from itertools import product
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from num2words import num2words

from sttd.consumer.request.numerals import rewritten
from sttd.consumer.request.numerals.lexicon import LANGUAGES, numerals
from tests.support.russian import CASES, GENDERS, cardinal, ordinal

TABLES: Final = Path(__file__).parent / "numerals"


def table(name: str) -> list[list[str]]:
    """The lines of a table, without remarks."""
    lines = (TABLES / name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def digits(text: str, language: str = "ru") -> str:
    """One text with its numbers in digits."""
    return "".join(rewritten([text], language, "digits"))


def words(text: str, language: str = "ru") -> str:
    """One text with its numbers in words."""
    return "".join(rewritten([text], language, "words"))


@pytest.mark.parametrize(("language", "heard", "expected"), table("digits.tsv"))
def test_a_number_in_words_becomes_digits(language: str, heard: str, expected: str) -> None:
    """Each kind of docs/text.md, by examples."""
    assert digits(heard, language) == expected


@pytest.mark.parametrize(("language", "heard"), table("unchanged.tsv"))
def test_what_is_no_number_for_sure_stays_as_it_was_heard(language: str, heard: str) -> None:
    """A wrong digit is worse than a word."""
    assert digits(heard, language) == heard


@pytest.mark.parametrize(("language", "heard", "expected"), table("words.tsv"))
def test_a_number_in_digits_becomes_words(language: str, heard: str, expected: str) -> None:
    """In the case and gender that the words beside it show; codes stay."""
    assert words(heard, language) == expected


def numbers() -> list[int]:
    """0 to 10^9: all small ones, the borders of each scale, and some of every length."""
    draw = random.Random(17)
    near = [scale * times + more for scale in (10**3, 10**6) for times in (1, 2, 5, 11, 21, 100) for more in (0, 40)]
    return [*range(2, 130), *near, *(draw.randrange(10 ** draw.randint(2, 9)) + 2 for _ in range(120)), 10**9]


@pytest.mark.parametrize(("case", "gender"), [*product(CASES, GENDERS)])
def test_a_cardinal_in_any_case_and_gender_comes_back(case: str, gender: str) -> None:
    """The forms are tables of this test's own."""
    preposition = {"n": "", "g": "около ", "d": "к ", "a": "за ", "i": "с ", "p": "о "}[case]
    wrong = [
        (value, said)
        for value in numbers()
        if digits(said := f"{preposition}{cardinal(value, case, gender)} рублей") != f"{preposition}{value} рублей"
    ]
    assert wrong == []


@pytest.mark.parametrize(("case", "gender"), [*product(CASES, "mfnp")])
def test_an_ordinal_in_any_case_and_gender_comes_back_with_its_ending(case: str, gender: str) -> None:
    """One letter behind a vowel, two behind a consonant."""
    for value in (value for value in numbers() if value > 10 and value % 1000):
        said = ordinal(value, case, gender)
        stem, ending = digits(said).split("-")
        assert (stem, said.endswith(ending), len(ending)) == (
            str(value),
            True,
            2 if ending in {"го", "му", "ми"} else 1,
        )


@pytest.mark.parametrize("language", ["ru", "en"])
def test_what_becomes_words_comes_back_as_digits(language: str) -> None:
    """Both directions mean the same number."""
    unit = "рублей" if language == "ru" else "dollars"
    values = [value for value in numbers() if value < 10**6 or value % 1000 == 0]
    assert [
        value for value in values if digits(words(f"за {value} {unit}", language), language) != f"за {value} {unit}"
    ] == []


def test_an_english_cardinal_comes_back() -> None:
    """As num2words says it, with `and` and without commas."""
    wrong = [v for v in numbers() if digits(f"{num2words(v).replace(',', '')} dollars", "en") != f"{v} dollars"]
    assert wrong == []


@pytest.mark.parametrize(("language", "heard", "expected"), table("digits.tsv"))
def test_what_is_in_digits_does_not_change_again(language: str, heard: str, expected: str) -> None:
    """A text that passes twice is the same, and so is one that a model already wrote in digits."""
    assert digits(expected, language) == expected


OTHER: Final = "рублей из них код кошка дом марта года людей чертей the may degrees was books".split()
"""Words that are part of no number, though some of them decide what is one."""
VOCABULARY: Final = [
    *(word for language in LANGUAGES for word in numerals(language)),
    *"и с в до без половиной половине полвосьмого четверть минут вечера утра целых запятая минус плюс".split(),
    *"процентов тысяч один and a half past to point percent p m at oh 5 25 1000 2,5 3.5 19:30 10-й - , . %".split(),
]


@settings(max_examples=400)
@given(st.lists(st.sampled_from(VOCABULARY) | st.sampled_from(OTHER), max_size=25), st.sampled_from(LANGUAGES))
def test_no_other_word_is_lost_and_nothing_raises(said: list[str], language: str) -> None:
    """Any heap of number words, signs and figures: all other words are still there, in their order."""
    kept = [word for word in re.findall(r"[^\W\d_]+", digits(" ".join(said), language)) if word in OTHER]
    assert kept == [word for word in said if word in OTHER]


@settings(max_examples=300)
@given(
    st.text(max_size=80), st.sampled_from(["ru", "en", "de", "xx"]), st.sampled_from(["digits", "words", "as_heard"])
)
@example("1" * 5000, "ru", "words")
@example("١٢ ² 5 тысяч", "ru", "digits")
@example("3,5 запятая один", "ru", "digits")
@example("3.5 point one", "en", "digits")
def test_no_text_raises(text: str, language: str, form: str) -> None:
    """The text of a note is whatever the model made of it."""
    assert isinstance(rewritten([text], language, form)[0], str)


@given(st.lists(st.sampled_from([" двадцать", " пять", " рублей", " две тысячи", " три", ".", " кот"]), max_size=12))
def test_the_parts_make_up_the_whole(parts: list[str]) -> None:
    """A number over the end of a segment stands in the segment where it begins; no segment is lost."""
    made = rewritten(parts, "ru", "digits")
    assert len(made) == len(parts)
    assert "".join(made) == digits("".join(parts))


def test_other_languages_stay_as_they_are() -> None:
    """Only Russian and English are known."""
    assert rewritten(["fünfundzwanzig Euro"], "de", "digits") == ["fünfundzwanzig Euro"]


def test_a_run_that_is_too_long_for_any_code_stays_as_it_was_heard() -> None:
    """A model that loops says a number thousands of times."""
    assert digits("двадцать пять " * 5000) == "двадцать пять " * 5000
