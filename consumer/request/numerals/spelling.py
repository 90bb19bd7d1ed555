"""Numbers in digits -> in words, with num2words. Russian case and gender follow the words beside the number.

Pure. Telephone numbers, codes, dates in figures and whatever is glued to letters stay as they are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from num2words import num2words

from sttd.consumer.request.numerals.context import CONTEXTS, YEAR
from sttd.consumer.request.numerals.lexicon import Language, plain

_FIGURES: Final = re.compile(
    r"(?<![\w.,:/№#$€£+-])(?<!\d[ \u00a0])(?<!№[ \u00a0])(?P<whole>\d{1,3}(?:[ \u00a0]\d{3})+(?![ \u00a0]?\d)|\d+)"
    r"(?:(?P<mark>[.,:])(?P<part>\d+))?(?P<percent> ?%)?(?:-(?P<range>\d+))?"
    r"(?P<ending>-?(?:st|nd|rd|th|ого|его|го|ому|му|ый|ий|ой|й|ая|я|ую|ю|ое|ые|е|ым|ом|м|ых|х|ыми|ми))?"
    r"(?![\w/:$€£-]|[.,]\d|[ \u00a0]\d)"
)
_WORD: Final = re.compile(r"\s*([^\W\d_]+)")
_LAST_WORD: Final = re.compile(r"([^\W\d_]+)\s*$")
LONGEST: Final = 6
"""Digits that are still read as one number when they do not end in three zeros."""

_BY_PREPOSITION: Final = {
    "g": "от до около без для из после у свыше более менее больше меньше порядка с кроме из-за",
    "d": "к ко по",
    "i": "между над под перед",
    "p": "о об при",
}
_CASE_AFTER: Final = {word: case for case, words in _BY_PREPOSITION.items() for word in words.split()}
_CASE_OF_NOUN: Final = (
    (("ами", "ями", "ьми"), "i"),
    (("ам", "ям"), "d"),
    (("ах", "ях"), "p"),
)
_OF_ENDING: Final = {"го": "g", "му": "d", "м": "p", "я": "n", "ю": "a", "х": "g", "ми": "i"}


@dataclass(frozen=True, slots=True)
class Change:
    """Characters [start, end) of a text become `written`."""

    start: int
    end: int
    written: str


def cardinal(value: int, language: Language, case: str = "n", gender: str = "m") -> str:
    """0 to 10^9 in words; `case` n, g, d, a, i or p and `gender` m, f or n are Russian."""
    if language == "en":
        return str(num2words(value, lang="en")).replace(",", "")
    if case == "a" and value >= 1000:  # noqa: PLR2004 - num2words mixes genitive and accusative: `двух тысячи`
        rest = value % 1000
        head = str(num2words(value - rest, lang="ru")).replace("одна тысяча", "одну тысячу")
        return f"{head} {cardinal(rest, 'ru', 'a', gender)}" if rest else head
    return str(num2words(value, lang="ru", case=case, gender=gender, animate=False))


def ordinal(value: int, case: str = "n", gender: str = "m", *, many: bool = False) -> str:
    """The same of Russian ordinals."""
    return str(num2words(value, lang="ru", to="ordinal", case=case, gender=gender, plural=many, animate=False))


def english_ordinal(value: int) -> str:
    """21 -> `21st`."""
    return str(num2words(value, lang="en", to="ordinal_num"))


def spelt(text: str, language: Language) -> Iterator[Change]:
    """What has to change so that the numbers stand in words; in order, without overlap."""
    for match in _FIGURES.finditer(text):
        before, behind = _LAST_WORD.search(text[: match.start()]), _WORD.match(text, match.end())
        beside = (plain(before[1]) if before else "", plain(behind[1]) if behind else "")
        words = (_in_russian if language == "ru" else _in_english)(match, *beside)
        if words:
            yield Change(*match.span(), words[0].upper() + words[1:] if _begins(text, match.start()) else words)


def _begins(text: str, at: int) -> bool:
    before = text[:at].rstrip()
    return not before or before[-1] in ".!?…"


def _value(match: re.Match[str]) -> int | None:
    """None: a code."""
    digits = re.sub(r"\D", "", match["whole"])
    grouped = digits != match["whole"]
    if (len(digits) > 1 and digits[0] == "0") or len(digits) > 10:  # noqa: PLR2004
        return None
    return int(digits) if grouped or len(digits) <= LONGEST or digits.endswith("000") else None


def _in_english(match: re.Match[str], before: str, _: str) -> str | None:
    value, part, ending = _value(match), match["part"], match["ending"] or ""
    if value is None or (ending and not ending.isascii()):
        return None
    if match["mark"] == ":":
        minutes = _minutes(value, part, "en", "oh")
        return f"{cardinal(value, 'en')} {minutes or 'o’clock'}" if minutes is not None else None
    if ending:
        return str(num2words(value, lang="en", to="ordinal")) if not part else None
    if part and match["mark"] == ",":
        return _thousands(match)
    words = cardinal(value, "en")
    if part:
        words += " point " + " ".join(cardinal(int(digit), "en") for digit in part)
    elif (before in {"in", "since", "until"} or CONTEXTS["en"].months.match(before)) and value in range(1100, 2100):
        words = str(num2words(value, lang="en", to="year"))
    if match["range"]:
        words += f" to {cardinal(int(match['range']), 'en')}"
    return f"{words} percent" if match["percent"] else words


def _thousands(match: re.Match[str]) -> str | None:
    """`1,500`; English."""
    if len(match["part"]) != 3:  # noqa: PLR2004
        return None
    return cardinal(int(match["whole"] + match["part"]), "en") + (" percent" if match["percent"] else "")


def _minutes(hour: int, minutes: str, language: Language, zero: str) -> str | None:
    """Of a time; empty for a whole hour, None if it is none."""
    if hour not in range(24) or len(minutes) != 2 or int(minutes) not in range(60):  # noqa: PLR2004
        return None
    if minutes == "00":
        return ""
    return (f"{zero} " if minutes[0] == "0" else "") + cardinal(int(minutes), language)


def _in_russian(match: re.Match[str], before: str, behind: str) -> str | None:
    value, part, ending = _value(match), match["part"], (match["ending"] or "").lstrip("-")
    if value is None or ending.isascii() != (not ending) or re.match("[a-z]", before):
        return None  # `iPhone 15`
    if match["mark"] == ":":
        minutes = _minutes(value, part, "ru", "ноль")
        return None if minutes is None else f"{cardinal(value, 'ru')} {minutes or 'ноль-ноль'}"
    if ending:
        return None if part or match["percent"] else _ordinal_words(value, ending, before, behind)
    if part:
        return str(num2words(Decimal(f"{value}.{part}"), lang="ru")) + (" процента" if match["percent"] else "")
    return _day_or_year(value, behind) or _counted(match, value, before, behind)


def _day_or_year(value: int, behind: str) -> str | None:
    if CONTEXTS["ru"].months.match(behind) and value in range(1, 32):
        return ordinal(value, "g")
    if YEAR.match(behind) and value > 31:  # noqa: PLR2004
        return ordinal(value, {"года": "g", "году": "p", "годом": "i"}.get(behind, "n"))
    return None


def _counted(match: re.Match[str], value: int, before: str, behind: str) -> str:
    case, gender = _agreement(value, before, "процентов" if match["percent"] else behind)
    words = cardinal(value, "ru", case, gender)
    if match["range"]:
        value = int(match["range"])
        words += f"-{cardinal(value, 'ru', case, gender)}"
    if not match["percent"]:
        return words
    return f"{words} {_percents(value) if case in 'na' else 'процент' + _PERCENT_ENDINGS[case][value % 10 == 1]}"


_PERCENT_ENDINGS: Final = {"g": ("ов", "а"), "d": ("ам", "у"), "i": ("ами", "ом"), "p": ("ах", "е")}


def _percents(value: int) -> str:
    last = 5 if value % 100 in range(11, 15) else value % 10
    return "процент" if last == 1 else "процента" if last in {2, 3, 4} else "процентов"


def _ordinal_words(value: int, ending: str, before: str, behind: str) -> str | None:
    short = ending if ending in {"го", "му", "ми"} else ending[-2:] if len(ending) > 2 else ending[-1]  # noqa: PLR2004
    if short == "й":
        oblique = behind.endswith(("е", "и", "ы", "ой", "ей"))
        return ordinal(value, "g" if oblique else "n", "f" if oblique else "m")
    if short == "е":
        return ordinal(value, "n", "n", many=behind.endswith(("ы", "и")))
    if short not in _OF_ENDING or value == 0:
        return None
    case = "i" if short == "м" and before not in {"в", "на", "о", "об", "при"} else _OF_ENDING[short]
    return ordinal(value, case, "f" if short in {"я", "ю"} else "m", many=short in {"х", "ми"})


def _agreement(value: int, before: str, noun: str) -> tuple[str, str]:
    """Case and gender that the words beside a number show; the nominative of a masculine noun if they show none."""
    case = next((case for endings, case in _CASE_OF_NOUN if noun.endswith(endings)), "n")
    if case == "n" and before in _CASE_AFTER:
        case = "i" if before == "с" and noun.endswith(("ом", "ем", "ой", "ей")) else _CASE_AFTER[before]
    last = 0 if value % 100 in range(11, 15) else value % 10
    if last == 1:
        if noun.endswith(("у", "ю")) and case == "n":
            return "a", "f"
        return case, "f" if noun.endswith(("а", "я")) and case == "n" else "n" if noun.endswith(("о", "ие")) else "m"
    feminine = last == 2 and noun.endswith(("и", "ы", "ые", "ие")) and case == "n"  # noqa: PLR2004
    return case, "f" if feminine else "m"
