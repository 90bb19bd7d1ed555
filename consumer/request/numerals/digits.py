"""Numbers in words -> in digits, where nothing is guessed: what a number is depends on the words beside it.

Pure. Whatever is not surely a number stays as it was heard; other words are never touched, except `percent`, the part
of a day and a sign, which the digits then say.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Final

from sttd.consumer.request.numerals import clock
from sttd.consumer.request.numerals.adding import HUNDRED
from sttd.consumer.request.numerals.context import CONTEXTS, GREATER, PREPOSITIONS, TOGETHER, YEAR
from sttd.consumer.request.numerals.grammar import Grammar, Number, tokens_of
from sttd.consumer.request.numerals.lexicon import Language
from sttd.consumer.request.numerals.spelling import Change, english_ordinal

SENTENCE_ENDS: Final = frozenset(".!?…:;—\n")
FIRST_ALWAYS: Final = 11
"""Ordinals in one word below this one are mostly no numbers: `в первую очередь`."""
CODE_DIGITS: Final = 5
LONGEST_CODE: Final = 20
CODE_GROUPS: Final = 3
MIDNIGHT: Final = 24
HOUR: Final = 60
DAYS: Final = 31
CENTURIES: Final = range(13, 21)


def changes(text: str, language: Language) -> list[Change]:
    """What has to change so that the numbers stand in digits; in order, without overlap."""
    return list(_Reader(text, language).changes())


class _Reader:
    def __init__(self, text: str, language: Language) -> None:
        self._tokens = tokens_of(text)
        self._words = Grammar(self._tokens, language)
        self._context = CONTEXTS[language]
        self._russian = language == "ru"

    def changes(self) -> Iterator[Change]:
        at = 0
        while at < len(self._tokens):
            after, found = self._read(at)
            yield from found
            at = max(after, at + 1)

    def _read(self, at: int) -> tuple[int, list[Change]]:
        """What begins at this token: where it ends and what changes in it."""
        time = (clock.time_in_words if self._russian else clock.english_time)(self._words, at)
        if time is not None:
            return time.after, [self._change(at, time.after, time.written)] if time.written else []
        numbers = self._side_by_side(at)
        if not numbers:
            return self._past_one(at) or (at + 1, [])
        after = numbers[-1].after
        if self._part_of_word(at, after):
            while after < len(self._tokens) and self._tokens[after].hyphened:
                after += 1
            return after, []
        if self._named(at):
            return after, []
        if len(numbers) > 1:
            return self._several(numbers)
        return self._one(numbers[0])

    # -- numbers that stand beside each other

    def _side_by_side(self, at: int) -> list[Number]:
        """A number, and the cardinals that follow with nothing between; those that hyphens join are read one by one."""
        found: list[Number] = []
        while number := self._number(at, found):
            found.append(number)
            at = number.after
            if number.ordinal or number.fraction or not self._goes_on(at, number):
                break
        return found

    def _number(self, at: int, before: list[Number]) -> Number | None:
        if at >= len(self._tokens):
            return None
        if not self._russian and self._words.word(at) == "oh":
            beside = before or (self._words.near(at + 1) and self._words.number(at + 1))
            return Number(at, at + 1, 0, "0", single=True) if beside else None
        found = self._words.number(at)
        return None if found is None or (before and (found.ordinal or found.fraction)) else found

    def _goes_on(self, at: int, number: Number) -> bool:
        zeros = number.value == 0 and at < len(self._tokens) and self._tokens[at].hyphened
        return self._words.near(at) or zeros

    def _several(self, numbers: list[Number]) -> tuple[int, list[Change]]:
        first, after = numbers[0].first, numbers[-1].after
        if not any(number.spoken for number in numbers):
            return after, []
        hour = self._hour(numbers)
        if hour is not None:
            end, time = hour
            return end, [self._change(first, end, time)] if time else []
        for written in (self._year(numbers), self._code(numbers)):
            if written:
                signed = self._words.near(first) and self._words.word(first - 1) in {"плюс", "plus"}
                start = first - 1 if signed and len(written) > CODE_DIGITS else first
                return after, [self._change(start, after, ("+" if start < first else "") + written)]
        return after, []

    def _past_one(self, at: int) -> tuple[int, list[Change]] | None:
        """`в час тридцать`."""
        if not self._russian or self._words.word(at) != "час" or not self._words.near(at + 1):
            return None
        minutes = self._side_by_side(at + 1)
        time = self._hour([Number(at, at + 1, 1, "1"), *minutes]) if minutes else None
        return None if time is None else (time[0], [self._change(at, *time)] if time[1] else [])

    def _hour(self, numbers: list[Number]) -> tuple[int, str | None] | None:
        """`в семь тридцать`, `семь ноль пять вечера`: its end and how it is written; None if it is no time."""
        hour, *rest = [number.value for number in numbers]
        after = numbers[-1].after
        zero = len(rest) == 2 and rest[0] == 0  # noqa: PLR2004
        minutes = rest[1] if zero else rest[0]
        fits = (
            (len(rest) == 1 or zero)
            and hour in range(MIDNIGHT)
            and minutes in (range(10) if zero else range(10, HOUR))
            and not self._context.units.match(self._words.word(after))
            and not self._context.things.match(self._words.word(after))
        )
        if not fits:
            return None
        written = clock.told(int(hour), int(minutes))
        if self._russian and (hours := clock.hours_of(self._words, after)) is not None:
            known = hours.get(int(hour))
            return after + 1, None if known is None else clock.told(known, int(minutes))
        before = self._words.word(numbers[0].first - 1) if self._words.near(numbers[0].first) else ""
        return (after, written) if before in self._context.hour_after or self._half_day(after) else None

    def _half_day(self, at: int) -> bool:
        """`p.m.`, in whichever spelling, or `in the morning`."""
        word = self._words.word(at)
        return not self._russian and (
            word in {"am", "pm"}
            or (word in {"a", "p"} and self._words.word(at + 1) == "m")
            or self._words.says(at, "in", "the")
        )

    def _year(self, numbers: list[Number]) -> str | None:
        """`nineteen ninety-nine`, `nineteen oh five`."""
        values = [number.value for number in numbers]
        if (
            self._russian
            or values[0] not in CENTURIES
            or self._context.units.match(self._words.word(numbers[-1].after))
        ):
            return None
        if len(values) == 2 and values[1] in range(10, HUNDRED):  # noqa: PLR2004
            return f"{values[0]}{values[1]}"
        if len(values) == 3 and values[1] == 0 and values[2] in range(1, 10):  # noqa: PLR2004
            return f"{values[0]}0{values[2]}"
        return None

    def _code(self, numbers: list[Number]) -> str | None:
        """A telephone number and the like, read digit by digit or in groups. Counting is none."""
        written = "".join(number.written for number in numbers)
        before = self._words.word(numbers[0].first - 1)
        if not written.isdecimal() or len(written) > LONGEST_CODE:
            return None
        if self._context.codes.match(before):
            return written
        values = [number.value for number in numbers]
        counting = all(after - one == 1 for one, after in pairwise(values))
        enough = len(written) >= CODE_DIGITS and len(numbers) >= CODE_GROUPS
        return written if enough and not counting else None

    # -- one number

    def _one(self, number: Number) -> tuple[int, list[Change]]:
        if number.ordinal:
            return self._ordinal(number)
        joined = self._joined(number.after)
        if joined is not None:
            return self._range(number, joined)
        if not self._sure(number):
            return number.after, []
        return self._cardinal(number)

    def _cardinal(self, number: Number) -> tuple[int, list[Change]]:
        first, after, written = number.first, number.after, number.written
        behind = self._words.word(after) if self._words.near(after) else ""
        sign = self._context.signs.get(self._words.word(first - 1)) if self._words.near(first) else None
        if sign and self._context.degrees.match(behind) and self._words.number(max(first - 2, 0)) is None:
            first, written = first - 1, sign + written
        if self._context.percent.match(behind):
            after, written = after + 1, f"{written}%"
        changed = number.spoken or after > number.after
        return after, [self._change(first, after, written)] if changed else []

    def _joined(self, at: int) -> Number | None:
        """The number that a hyphen or `до` joins to the one before."""
        if at >= len(self._tokens):
            return None
        if self._words.word(at) in self._context.joins and self._words.near(at) and self._words.near(at + 1):
            found = self._words.number(at + 1)
        else:
            found = self._words.number(at) if self._tokens[at].hyphened else None
        if found is None or found.ordinal or found.bare or len(self._side_by_side(found.first)) > 1:
            return None  # `до девяти тридцати` is a time
        if self._part_of_word(found.first, found.after, range_of=True):
            return None
        return found

    def _range(self, one: Number, other: Number) -> tuple[int, list[Change]]:
        """`пять-шесть тысяч`: the scale belongs to both, so it stays a word."""
        if one.bare or self._strange(one) or self._strange(other) or not (one.spoken or other.spoken):
            return other.after, []
        if other.mantissa is not None and one.mantissa is None and one.value < _value(other.mantissa):
            end = other.after - 1
            both = [self._change(one.first, one.after, one.written), self._change(other.first, end, other.mantissa)]
            return other.after, both
        after, rest = self._cardinal(other)
        return after, [self._change(one.first, one.after, one.written), *rest]

    def _sure(self, number: Number) -> bool:
        """Whether these words are surely a number."""
        if self._strange(number) or self._words.word(number.first - 1) == "half":
            return False
        word = self._words.word(number.first)
        behind = self._words.word(number.after) if self._words.near(number.after) else ""
        before = self._words.word(number.first - 1) if self._words.near(number.first) else ""
        unit = self._context.units.match(behind)
        if number.bare:
            several = word in {"тысячи", "миллиона", "миллиарда"}
            return bool(unit) and (not several or before in GREATER)
        if number.single and self._context.weak.match(word):
            return bool(unit or self._context.codes.match(before) or self._context.counted.match(before))
        return True

    def _strange(self, number: Number) -> bool:
        """`семь я` is `семья`; `сорока` is a bird, `семью` a family, if nothing says otherwise."""
        if not self._russian or not number.single:
            return False
        word = self._words.word(number.first)
        behind = self._words.word(number.after) if self._words.near(number.after) else ""
        before = self._words.word(number.first - 1) if number.first else ""
        if word == "семью":
            return not (behind.endswith(("ами", "ями", "ьми")) or before in TOGETHER)
        if word == "сорока":
            return not (before in PREPOSITIONS or self._context.units.match(behind) or behind in {"лет", "дней"})
        return word == "семь" and behind == "я"

    def _ordinal(self, number: Number) -> tuple[int, list[Change]]:
        first, after = number.first, number.after
        behind = self._words.word(after) if self._words.near(after) else ""
        month = self._month(after) or self._month(first - 1) or self._of_month(after)
        counted = self._context.counted.match(behind)
        year = self._russian and YEAR.match(behind)
        rare = not number.single or number.value >= FIRST_ALWAYS
        if not self._russian:
            return self._english_ordinal(number, sure=bool(month or counted), rare=rare)
        if self._month(after) or self._other_day(after) or year or (self._month(first - 1) and number.value > DAYS):
            return after, [self._change(first, after, number.written)]
        if rare or counted:
            return after, [self._change(first, after, f"{number.written}-{number.ending}")]
        return after, []

    def _english_ordinal(self, number: Number, *, sure: bool, rare: bool) -> tuple[int, list[Change]]:
        last = self._tokens[number.after - 1]
        if last.plain == "second" and last.gap == " " and not sure and not number.single:
            shorter = english_ordinal(int(number.value)).removesuffix("nd")  # `a twenty second pause`
            count = str(int(shorter) - 2)
            return number.after, [self._change(number.first, number.after - 1, count)]
        if not (sure or rare):
            return number.after, []
        return number.after, [self._change(number.first, number.after, english_ordinal(int(number.value)))]

    def _month(self, at: int) -> bool:
        """Whether a month stands at this token; in English with its capital, as `may` is a verb too."""
        if not (0 <= at < len(self._tokens) and self._context.months.match(self._words.word(at))):
            return False
        return self._russian or self._tokens[at].text[0].isupper()

    def _other_day(self, at: int) -> bool:
        """`с первого по пятое мая`, `первого-второго мая`: the month belongs to both."""
        if at >= len(self._tokens):
            return False
        linked = self._words.near(at) and self._words.word(at) in {"по", "до", "и", "или", "на"}
        other = (
            self._words.number(at + linked)
            if (linked and at + 1 < len(self._tokens)) or self._tokens[at].hyphened
            else None
        )
        return other is not None and other.ordinal and self._month(other.after)

    def _of_month(self, at: int) -> bool:
        return not self._russian and self._words.says(at, "of") and self._month(at + 1)

    # -- what is no number

    def _named(self, at: int) -> bool:
        """A capital inside a sentence."""
        token = self._tokens[at]
        return at > 0 and token.text[0].isupper() and not SENTENCE_ENDS & set(token.gap)

    def _part_of_word(self, first: int, after: int, *, range_of: bool = False) -> bool:
        """Whether a hyphen joins it to something that is no number: `раз-два`, `five-year`."""
        beside = [] if range_of else [(first, first - 1)]
        beside.append((after, after))
        return any(
            0 < hyphen < len(self._tokens) and self._tokens[hyphen].hyphened and self._words.number(other) is None
            for hyphen, other in beside
        )

    def _change(self, first: int, after: int, written: str | None) -> Change:
        return Change(self._tokens[first].start, self._tokens[after - 1].end, written or "")


def _value(written: str) -> Decimal:
    return Decimal(written.replace(",", "."))
