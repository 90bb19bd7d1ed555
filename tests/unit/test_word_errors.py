"""tools.word_errors: what counts as the same word, and that errors are counted, not guessed."""

import pytest

from sttd.commands.bench.paired import share
from tools import word_errors
from tools.word_errors import Errors


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("ru", "Её вол+ос, — и всё!", "ее волос и все"),
        ("ru", "Что-то не то…", "что то не то"),
        ("ru", "Нажмите 21.", "нажмите двадцать один"),
        ("ru", "На 2 500 рублей", "на две тысячи пятьсот рублей"),
        ("ru", "28,8 килобит", "двадцать восемь целых восемь десятых килобит"),
        ("ru", "1-й звонок", "первый звонок"),
        ("en", "Press 1 now.", "press one now"),
        ("en", "It's 2,500", "Its two thousand, five hundred"),
        ("en", "the 2nd of don’t", "The second of don't"),
        ("en", "dial 007", "dial zero zero seven"),
        ("en", "3D audio", "three d audio"),
    ],
)
def test_two_ways_to_write_the_same_words_are_equal(language: str, one: str, other: str) -> None:
    """Case, punctuation, `ё`, stress marks and digits are ways of writing, not errors of recognition."""
    assert word_errors.words(one, language) == word_errors.words(other, language)


def test_letters_of_two_alphabets_stay_different() -> None:
    """A Latin `c` in a Russian word is an error, though it looks right."""
    assert word_errors.words("сон IAX", "ru") != word_errors.words("cон IAX", "ru")


def test_a_row_of_digits_without_end_is_read_digit_by_digit() -> None:
    """A model in a loop writes hundreds of digits, which no library spells as one number."""
    assert word_errors.words("1" * 400, "en") == ["one"] * 400


def test_replaced_left_out_and_added_words_count_one_each() -> None:
    """One of each against four words; characters are counted with the spaces between words."""
    assert word_errors.errors("раз два три четыре", "раз две четыре пять", "ru") == Errors(4, 3, 18, 10)
    assert word_errors.errors("раз два", "", "ru") == Errors(2, 2, 7, 7)


def test_the_rate_of_several_utterances_is_that_of_all_their_words() -> None:
    """A mean of rates would give a word in a short utterance more weight than one in a long one."""
    by_word, by_character = share([1, 0], [1, 9]), share([4, 0], [4, 36])
    assert (by_word.value, by_character.value) == (0.1, 0.1)


def test_an_utterance_of_which_nothing_was_said_has_no_rate() -> None:
    """A script of dots alone would make every answer count as infinitely wrong."""
    with pytest.raises(ValueError, match="no words"):
        word_errors.errors("...", "раз", "ru")
