"""Numbers that the model wrote in digits, but in another way: `в 16-40`, `28-го января`, `4,250 рублей`. Russian.

Pure. What may as well be something else (`16-20`, a range; `до 21.03`, a date) stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sttd.consumer.request.numerals import clock
from sttd.consumer.request.numerals.context import CONTEXTS, YEAR
from sttd.consumer.request.numerals.lexicon import Language, plain, short_ending
from sttd.consumer.request.numerals.spelling import Change

_ALONE: Final = r"(?<![\w.,:/№#+-])(?<!\d[ \u00a0])"
_TIME: Final = re.compile(
    rf"{_ALONE}(?P<hour>[01]?\d|2[0-3])(?P<mark>[.,:-])(?P<minute>[0-5]\d)" r"(?![\w:/%°-]|[., \u00a0]\d)"
)
_ENDED: Final = re.compile(
    rf"{_ALONE}(?P<value>\d{{1,9}})-(?P<ending>[ое]?го|[ое]?му|[ыио]?й|а?я|у?ю|[оы]?е|[ыи]?м|[ыи]?х|[ыи]?ми)(?![\w-])"
)
_THOUSANDS: Final = re.compile(
    rf"{_ALONE}([1-9]\d{{0,2}}),(\d(?:\d[05-9]|1\d))(?=[ \u00a0](?:рублей|долларов|гривен|юаней|тенге|человек|штук)\b)"
)
_SUM: Final = re.compile(rf"{_ALONE}(\d{{0,3}}[1-9])(0{{1,6}})-([1-9]\d{{0,5}})(?![\w,.-])")
_COUNTED: Final = (
    (range(1, 2), re.compile(r"\w{2,}[аяую]$")),
    (range(2, 5), re.compile(r"\w{2,}[аяиы]$")),
    (range(5, 10), re.compile(r"\w{3,}([бвгджзклмнпрстфхцчшщь]|ей|ий)$")),
)
"""How a noun ends behind the units: `43 коробки`, `48 коробок`."""
_NUMBERED: Final = re.compile(r"счет|побед|.*игра|стать|пункт|част|параграф|школ|модел")
"""`со счётом 40-3`, `пункт 20-3`."""
_LAST_WORD: Final = re.compile(r"([^\W\d_]+)[ \u00a0]+$")
_NEXT_WORD: Final = re.compile(r"[ \u00a0]+([^\W\d_]+)")
_AND_NEXT: Final = re.compile(r" (?:и|или) ([^\W\d_]+)")
_NEAR: Final = 40
"""Characters in which the word before is looked for."""
_RANGES_TO: Final = 24
"""`16-20` may be from 16 to 20, `16-25` is no hour."""
_LAST_MONTH: Final = 12
_LAST_DAY: Final = 31

_PLACE_OR_LINK: Final = frozenset(
    """
    у на в во с со из от до к ко по за около возле перед при для без а но если чтобы
    сегодня завтра послезавтра вчера утром днем вечером ночью уже еще там тут здесь ровно
    """.split()
)
"""What may stand behind a time, and not between a number and what it counts."""
_SIZES: Final = re.compile(r"разниц|размер|шаг|сумм|цен|курс|оценк|длин|высот|ширин|вес|рост|доз|объем|скидк|ставк")
"""`с шагом в 1,25`."""


def one_way(text: str, language: Language) -> Iterator[Change]:
    """For digits and words alike: hours with a colon, thousands without a comma."""
    if language != "ru":
        return
    for match in _TIME.finditer(text):
        if match["mark"] != ":" and _is_time(text, match):
            yield _change(match, clock.told(int(match["hour"]), int(match["minute"])))
    for match in _THOUSANDS.finditer(text):
        yield _change(match, match[1] + match[2])


def sums(text: str, language: Language) -> Iterator[Change]:
    """`40-3 коробки` -> `43 коробки`, `8000-850 рублей` -> `8850 рублей`: no range falls."""
    for match in _SUM.finditer(text) if language == "ru" else ():
        head, zeros, part = match.groups()
        teens = head[-1] == "1" and len(zeros) == 1
        if len(part) <= len(zeros) and not teens and _counts(text, match):
            yield _change(match, head + zeros[len(part) :] + part)


def _counts(text: str, match: re.Match[str]) -> bool:
    """Whether what is behind is counted by one number that ends as the part does."""
    before, behind, words = _before(text, match.start()), _behind(text, match), CONTEXTS["ru"]
    if any(one.match(before) for one in (words.codes, words.counted, _NUMBERED)):
        return False
    if text.startswith("%", match.end()) or words.units.match(behind) or words.things.match(behind):
        return True
    unit = int(match[3]) % 100
    unit = 5 if unit in range(5, 20) or unit % 10 == 0 else unit % 10
    return behind not in _PLACE_OR_LINK and any(unit in of and ends.match(behind) for of, ends in _COUNTED)


def as_digits(text: str, language: Language) -> Iterator[Change]:
    """What `digits` writes for the same words: `7:30 вечера` -> `19:30`, `28-го мая` -> `28 мая`, short endings."""
    if language != "ru":
        return
    for match in _TIME.finditer(text):
        behind = _NEXT_WORD.match(text, match.end())
        hours = clock.PARTS.get(plain(behind[1])) if behind and match["mark"] == ":" else None
        if behind and hours and int(match["hour"]) in hours:
            yield Change(match.start(), behind.end(), clock.told(hours[int(match["hour"])], int(match["minute"])))
    for match in _ENDED.finditer(text):
        noun = _behind(text, match)
        day = CONTEXTS["ru"].months.match(noun) and int(match["value"]) <= _LAST_DAY
        short = match["value"] if day or YEAR.match(noun) else f"{match['value']}-{short_ending(match['ending'])}"
        if short != match[0]:
            yield _change(match, short)


def _is_time(text: str, match: re.Match[str]) -> bool:
    hour, minute, mark = int(match["hour"]), int(match["minute"]), match["mark"]
    rises = hour < minute and match["minute"][0] != "0"
    if mark == "-" and rises and minute <= _RANGES_TO:
        return False
    before, behind = _before(text, match.start()), _behind(text, match)
    if behind in clock.PARTS and not (mark == "," and behind == "дня"):  # `1,25 дня`
        return True
    linked = _AND_NEXT.match(text, match.end())
    if behind and (plain(linked[1]) if linked else behind) not in _PLACE_OR_LINK | clock.PARTS.keys():
        return False
    if before == "в":
        return mark != "," or not _SIZES.match(_before(text, len(text[: match.start()].rstrip()) - 1))
    if before not in CONTEXTS["ru"].hour_after or mark == ",":
        return False
    return not rises if mark == "-" else minute > _LAST_MONTH or minute == 0


def _before(text: str, at: int) -> str:
    """The word before, plain; empty where there is none beside."""
    found = _LAST_WORD.search(text, max(0, at - _NEAR), at)
    return plain(found[1]) if found else ""


def _behind(text: str, match: re.Match[str]) -> str:
    found = _NEXT_WORD.match(text, match.end())
    return plain(found[1]) if found else ""


def _change(match: re.Match[str], written: str) -> Change:
    return Change(*match.span(), written)
