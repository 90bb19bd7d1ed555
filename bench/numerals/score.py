"""What a text makes of a sentence's numbers, and whose fault it is where that is wrong. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sttd.consumer.request.numerals import rewritten
from sttd.consumer.request.numerals.lexicon import numerals, plain
from tools.word_errors import words

_FIGURES: Final = re.compile(r"(?:(?<!\d)-)?\d+(?:[ \u00a0]\d{3}(?!\d))*(?:[.,:/]\d+)*(?:-[а-я]{1,2}\b|%)?")
_PARTS: Final = frozenset(
    "половина половине половиной целая целых утра дня вечера ночи полтора полторы процент".split()
)

_ONE: Final = frozenset("один одна одно одну одного одной".split())

Fault = Literal["none", "model", "conversion"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`as_heard`: whether the model's own text had the right figures; `fault`: of the text after `digits`."""

    as_heard: bool
    fault: Fault


def digits(text: str) -> str:
    """What the daemon answers with `numerals: digits`, Russian."""
    return rewritten([text], "ru", "digits")[0]


def figures(text: str) -> list[str]:
    """All numbers in figures, in order; groups of three without their spaces."""
    return [re.sub(r"[ \u00a0]", "", one) for one in _FIGURES.findall(text)]


def judge(script: str, heard: str, expected: Sequence[str]) -> Verdict:
    """Compare the figures of a transcript with those that are right.

    A telephone number may have any separators. The conversion is at fault where the script itself comes out wrong, or
    where the model heard the same number words as the script has, or wrote the same figures with other marks between
    (`16-20`), and the text is wrong all the same.
    """
    ones = not _ONE.isdisjoint(words(script, "ru"))
    right = [_same(figures(text), expected, ones=ones) for text in (heard, digits(heard), digits(script))]
    if right[1]:
        return Verdict(right[0], "none")
    heard_right = _number_words(heard) == _number_words(script) or _bare(figures(digits(heard))) == _bare(expected)
    return Verdict(right[0], "conversion" if heard_right or not right[2] else "model")


def _same(found: Sequence[str], expected: Sequence[str], *, ones: bool) -> bool:
    """`ones`: the script says `один`, which stays a word, and the model may well have written `1`."""
    telephone = len(expected) == 1 and len(expected[0]) > 10 and expected[0].isdecimal()  # noqa: PLR2004
    if telephone:
        return re.sub(r"\D", "", "".join(found)) == expected[0]
    if ones:
        found, expected = ([one for one in figures if one != "1"] for figures in (found, expected))
    return list(found) == list(expected)


def _bare(found: Sequence[str]) -> str:
    return re.sub(r"[.,:/](?=\d)", "", "".join(found))


def _number_words(text: str) -> list[str]:
    known = numerals("ru")
    return [word for word in words(text, "ru") if plain(word) in known or word in _PARTS]
