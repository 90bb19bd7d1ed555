"""Times of the day in words: `в половине восьмого вечера` -> 19:30, `half past seven` -> 7:30.

Pure. Guesses nothing: in Russian a half or a quarter without its part of the day stays as it was heard.
"""

from dataclasses import dataclass
from typing import Final

from sttd.consumer.request.numerals.grammar import Grammar

_HALVES: Final = frozenset({"половина", "половине", "половину", "половины", "половиной"})
_QUARTERS: Final = frozenset({"четверть", "четверти"})
_HOURS: Final = frozenset(range(1, 13))
_MINUTES: Final = frozenset(range(1, 60))

PARTS: Final[dict[str, dict[int, int]]] = {
    "утра": {hour: hour for hour in range(1, 12)},
    "дня": {12: 12} | {hour: hour + 12 for hour in range(1, 6)},
    "вечера": {hour: hour + 12 for hour in range(4, 12)},
    "ночи": {12: 0, 10: 22, 11: 23} | {hour: hour for hour in range(1, 5)},
}
"""The part of the day, and in it the hour as it is said -> of 24."""


@dataclass(frozen=True, slots=True)
class Time:
    """Tokens [first, after); `written` is None where they stay as they are."""

    first: int
    after: int
    written: str | None


def told(hour: int, minute: int) -> str:
    """`7:05`."""
    return f"{hour}:{minute:02d}"


def hours_of(words: Grammar, at: int) -> dict[int, int] | None:
    """The hours of the part of the day that this token names."""
    return PARTS.get(words.word(at)) if words.near(at) else None


def time_in_words(words: Grammar, at: int) -> Time | None:
    """A Russian time that begins at this token and is told by halves, quarters or minutes before or of an hour."""
    found = _joined_half(words, at) or _share(words, at) or _to(words, at) or _past(words, at)
    if found is None:
        return None
    hour, before, after = found
    hours = hours_of(words, after)
    if hours is None:
        return Time(at, after, None)
    begun = (hour + 10) % 12 + 1  # the hour that runs
    if begun in hours:
        moment = hours[begun] * 60 + 60 - before
    elif hour in hours:
        moment = hours[hour] * 60 - before
    else:
        return Time(at, after + 1, None)
    return Time(at, after + 1, told(moment // 60 % 24, moment % 60))


def english_time(words: Grammar, at: int) -> Time | None:
    """`half past seven`, `quarter to eight`: as exact in digits as in words."""
    first, at = at, at + (words.word(at) == "a" and words.near(at + 1))
    named, link = words.word(at), words.word(at + 1)
    if named not in {"half", "quarter"} or link not in {"past", "to"} or (named == "half" and link == "to"):
        return None
    hour = words.number(at + 2) if words.near(at + 1) and words.near(at + 2) else None
    if hour is None or not hour.single or hour.ordinal or hour.value not in _HOURS:
        return None
    value = int(hour.value)
    if link == "past":
        return Time(first, hour.after, told(value, 30 if named == "half" else 15))
    return Time(first, hour.after, told((value + 10) % 12 + 1, 45))


def _share(words: Grammar, at: int) -> tuple[int, int, int] | None:
    """`половина восьмого`, `четверть восьмого`: (8, minutes before it, the token behind)."""
    before = 30 if words.word(at) in _HALVES else 45 if words.word(at) in _QUARTERS else 0
    return _of_hour(words, at + 1, before) if before and words.near(at + 1) else None


def _joined_half(words: Grammar, at: int) -> tuple[int, int, int] | None:
    """`полвосьмого`, also in two words."""
    word = words.word(at)
    if word == "пол":
        return _of_hour(words, at + 1, 30)
    numeral = words.meaning(word.removeprefix("пол")) if word.startswith("пол") else None
    fits = numeral is not None and numeral.ordinal and numeral.ending == "го" and numeral.value in _HOURS
    return (int(numeral.value), 30, at + 1) if numeral and fits else None


def _past(words: Grammar, at: int) -> tuple[int, int, int] | None:
    """`десять минут восьмого`."""
    minutes = words.number(at)
    if minutes is None or minutes.value not in _MINUTES or not words.word(minutes.after).startswith("минут"):
        return None
    return _of_hour(words, minutes.after + 1, 60 - int(minutes.value))


def _of_hour(words: Grammar, at: int, before: int) -> tuple[int, int, int] | None:
    numeral = words.meaning(words.word(at))
    fits = numeral is not None and numeral.ordinal and numeral.ending == "го" and numeral.value in _HOURS
    written = _written_hour(words, at)
    return (int(numeral.value), before, at + 1) if numeral and fits else written and (written[0], before, written[1])


def _written_hour(words: Grammar, at: int) -> tuple[int, int] | None:
    """An hour that the model wrote as `10` or `10-го`, before the part of the day only: (10, the token behind)."""
    hour = words.word(at)
    after = at + 1 + (words.word(at + 1) == "го" and not words.near(at + 1))
    fits = hour.isdecimal() and len(hour) < 3 and int(hour) in _HOURS and hours_of(words, after)  # noqa: PLR2004
    return (int(hour), after) if fits else None


def _to(words: Grammar, at: int) -> tuple[int, int, int] | None:
    """`без пятнадцати восемь`, `без четверти час`."""
    if words.word(at) != "без" or not words.near(at + 1):
        return None
    minutes = None if words.word(at + 1) == "четверти" else words.number(at + 1)
    if minutes is None and words.word(at + 1) != "четверти":
        return None
    if minutes is not None and minutes.value not in _MINUTES:
        return None
    after = minutes.after if minutes else at + 2
    after += words.word(after) == "минут"
    hour = words.meaning(words.word(after)) if words.near(after) else None
    written = _written_hour(words, after) or (0, 0)
    value = 1 if words.word(after) == "час" else hour.value if hour and not hour.ordinal else written[0]
    return (int(value), int(minutes.value) if minutes else 15, after + 1) if value in _HOURS else None
