"""Word and character error rates of a text against its script; numbers count as words on both sides.

jiwer aligns and num2words spells; here is only what is compared: no case, no punctuation, no stress marks, `ё` as `е`.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import jiwer
from num2words import num2words

STRESS: Final = "+\u0301"
"""How festvox-ru marks a stressed vowel, and how everybody else does."""

MOST_DIGITS: Final = 15
"""A longer row of digits, and one that begins with zero, is read digit by digit."""

_NUMBER: Final = {
    "ru": re.compile(r"(?P<whole>\d{1,3}(?:[ \u00a0\u202f]\d{3})+|\d+)(?:[.,](?P<rest>\d+))?(?P<nth>-[а-я]{1,3}\b)?"),
    "en": re.compile(r"(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?:\.(?P<rest>\d+))?(?P<nth>(?:st|nd|rd|th)\b)?"),
}
_SILENT: Final = re.compile(r"['’ʼ`]")
"""Within a word: `don't` is one word however the apostrophe is written, and without."""
_BETWEEN: Final = re.compile(r"[\W_]+")


def words(text: str, language: str) -> list[str]:
    """What is compared.

    `language`: `ru` or `en`, in which numbers are spelt; Latin and Cyrillic letters stay what they are.
    """
    plain = text.lower().translate(dict.fromkeys(map(ord, STRESS)))
    spelt = _NUMBER[language].sub(lambda found: f" {_spelt(found, language)} ", plain)
    return _BETWEEN.sub(" ", _SILENT.sub("", spelt.replace("ё", "е"))).split()


def _spelt(number: re.Match[str], language: str) -> str:
    whole = re.sub(r"\D", "", number["whole"])
    if len(whole) > MOST_DIGITS or (whole.startswith("0") and len(whole) > 1):
        return " ".join(num2words(int(digit), lang=language) for digit in whole + (number["rest"] or ""))
    if number["rest"]:
        return str(num2words(Decimal(f"{whole}.{number['rest'][:MOST_DIGITS]}"), lang=language))
    return str(num2words(int(whole), lang=language, to="ordinal" if number["nth"] else "cardinal"))


@dataclass(frozen=True, slots=True)
class Errors:
    """Words and characters of the script, and how many of them were replaced, left out or added."""

    words: int = 0
    word_errors: int = 0
    characters: int = 0
    character_errors: int = 0

    @property
    def word_rate(self) -> float:
        """Word error rate, 0 to 1 and above."""
        return self.word_errors / self.words


def errors(said: str, heard: str, language: str) -> Errors:
    """Count one utterance. Raises `ValueError` for an empty script: there is no rate of that."""
    expected, found = (" ".join(words(text, language)) for text in (said, heard))
    if not expected:
        raise ValueError(f"no words in {said!r}")
    by_word, by_character = jiwer.process_words(expected, found), jiwer.process_characters(expected, found)
    return Errors(
        len(expected.split()),
        by_word.substitutions + by_word.deletions + by_word.insertions,
        len(expected),
        by_character.substitutions + by_character.deletions + by_character.insertions,
    )
