"""From words to numbers: where one begins, where it ends, what it is worth. Looks at nothing beside the number.

Pure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from sttd.consumer.request.numerals.adding import HUNDRED, THOUSAND, Sum
from sttd.consumer.request.numerals.lexicon import Language, Numeral, numerals, plain

_TOKEN: Final = re.compile(r"\d+(?:[.,]\d+)?|[^\W\d_]+(?:\u0301[^\W\d_]*)*")
_HYPHENS: Final = frozenset("-\u2010\u2011\u2013")
_GLUE: Final = frozenset(("", ":", ".", ",", "/", "'", "_"))

_DENOMINATORS: Final = {
    "треть": 3, "трети": 3, "третей": 3, "третям": 3, "третями": 3, "третях": 3,
    "четверть": 4, "четверти": 4, "четвертей": 4, "четвертям": 4, "четвертями": 4, "четвертях": 4,
    "half": 2, "halves": 2, "quarter": 4, "quarters": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a numeral in digits; `gap`: what stands between it and the token before."""

    text: str
    start: int
    end: int
    gap: str

    @property
    def plain(self) -> str:
        """As the lexicons have it."""
        return plain(self.text)

    @property
    def hyphened(self) -> bool:
        """A hyphen joins it with the token before."""
        return self.gap in _HYPHENS


@dataclass(frozen=True, slots=True)
class Number:
    """Tokens [first, after). `written`: in digits. `ending`: of an ordinal. `mantissa`: without a last scale word.

    `spoken`: at least one token is a word. `bare`: a thousand or the like that nothing multiplies.
    """

    first: int
    after: int
    value: int | Decimal
    written: str
    ordinal: bool = False
    ending: str = ""
    mantissa: str | None = None
    spoken: bool = True
    bare: bool = False
    single: bool = False
    fraction: bool = False


def tokens_of(text: str) -> list[Token]:
    """All words and figures of a text."""
    found: list[Token] = []
    for match in _TOKEN.finditer(text):
        found.append(Token(match[0], *match.span(), text[found[-1].end if found else 0 : match.start()]))
    return found


class Grammar:
    """Reads the numbers of one text."""

    def __init__(self, tokens: Sequence[Token], language: Language) -> None:
        """`tokens`: of the whole text."""
        self._tokens = tokens
        self._russian = language == "ru"
        self._numerals = numerals(language)

    def word(self, at: int) -> str:
        """A token as the lexicons have it; empty beyond the ends."""
        return self._tokens[at].plain if 0 <= at < len(self._tokens) else ""

    def meaning(self, word: str) -> Numeral | None:
        """A word, plain, by itself."""
        return self._numerals.get(word)

    def near(self, at: int) -> bool:
        """Whether white space parts a token from the one before."""
        return 0 < at < len(self._tokens) and self._tokens[at].gap.isspace()

    def says(self, at: int, *words: str) -> bool:
        """Whether these words stand here, parted by white space from what is before them."""
        return all(self.near(at + place) and self.word(at + place) == word for place, word in enumerate(words))

    def number(self, at: int) -> Number | None:
        """The longest number that begins at this token."""
        found = self._sum(at)
        if found is None or found.ordinal:
            return found
        for extend in (self._half, self._whole_and_parts, self._point, self._parts):
            longer = extend(found)
            if longer is not None:
                return longer
        return found

    def _numeral(self, at: int) -> Numeral | None:
        token = self._tokens[at]
        if not token.text[0].isdecimal():
            return self._numerals.get(token.plain)
        beside = (token.gap if at else " ", self._tokens[at + 1].gap if at + 1 < len(self._tokens) else " ")
        if any(gap in _GLUE for gap in beside) or (token.text[0] == "0" and token.text[1:].isdecimal()):
            return None  # of an article number, a time, a telephone number
        text = token.text.replace(",", "." if self._russian else "")
        return Numeral(int(text) if text.isdecimal() else Decimal(text), cases=frozenset("n"))

    def _sum(self, at: int) -> Number | None:
        """Cardinals, and an ordinal at the end."""
        article = not self._russian and self.word(at) == "a"
        first = Numeral(1) if article else self._numeral(at)
        if first is None:
            return None
        figures = self._figures(at)
        if isinstance(first.value, Decimal) or (figures and first.value >= THOUSAND):
            text = self._tokens[at].text if figures else self._written(first.value)
            return self._scaled(Number(at, at + 1, first.value, text, spoken=not figures))
        reading = Sum()
        if not reading.takes(first):  # the second word of `десятки тысяч`
            return None
        if article or figures:
            reading.room, reading.bare = 0, article
        place, last, spoken = at + 1, first, not figures
        while not last.ordinal and self._follows(place):
            place, numeral = self._next(reading, place, at)
            if numeral is None:
                break
            last, spoken = numeral, spoken or not self._figures(place - 1)
        if article and (place == at + 1 or last.ordinal):
            return None
        value = reading.value
        return Number(
            at,
            place,
            value,
            self._written(value) if spoken else self._tokens[at].text,
            ordinal=last.ordinal,
            ending=last.ending,
            mantissa=None if reading.mantissa is None or reading.scales > 1 else self._written(reading.mantissa),
            spoken=spoken,
            bare=(reading.bare or article) and str(value).rstrip("0") == "1",
            single=place == at + 1,
        )

    def _next(self, reading: Sum, place: int, first: int) -> tuple[int, Numeral | None]:
        """The place behind the next word of a number, and that word; None: it ends here."""
        at = place + self._links(reading, place, first)
        numeral = self._numeral(at) if at < len(self._tokens) else None
        if numeral is None or isinstance(numeral.value, Decimal):
            return place, None
        figures = self._figures(at)
        if figures and (reading.group is not None or numeral.value >= THOUSAND):
            return place, None
        if not reading.takes(numeral):
            return place, None
        if figures:
            reading.room = 0
        return at + 1, numeral

    def _figures(self, at: int) -> bool:
        return self._tokens[at].text[0].isdecimal()

    def _follows(self, at: int) -> bool:
        """Whether a number may go on with this token: behind white space, in English behind a hyphen too."""
        return self.near(at) or (not self._russian and at < len(self._tokens) and self._tokens[at].gap == "-")

    def _links(self, reading: Sum, at: int, first: int) -> bool:
        """`one hundred and five`, but not `between one hundred and two hundred`."""
        if self._russian or self.word(at) != "and" or not self.near(at + 1) or self.word(first - 1) == "between":
            return False
        behind = self.word(at + 2) if self.near(at + 2) else ""
        return reading.room >= HUNDRED and bool(reading.before or reading.group) and behind != "hundred"

    def _half(self, number: Number) -> Number | None:
        """`два с половиной`, `two and a half`, and a scale behind it."""
        after = number.after
        words = ("с",) if self._russian else ("and", "a")
        if not self.says(after, *words):
            return None
        parts = {"половиной": "0.5", "четвертью": "0.25", "half": "0.5", "quarter": "0.25"}
        part = parts.get(self.word(after + len(words))) if self.near(after + len(words)) else None
        if part is None or number.bare:
            return None
        value = number.value + Decimal(part)
        return self._scaled(replace(number, after=after + len(words) + 1, value=value, written=self._written(value)))

    def _scaled(self, number: Number) -> Number:
        """Multiplied by the scale word behind it, if there is one."""
        scale = self._numerals.get(self.word(number.after)) if self.near(number.after) else None
        if scale is None or scale.ordinal or not scale.multiplies or scale.value == HUNDRED:
            return replace(number, single=False)
        value = number.value * scale.value
        return replace(
            number,
            after=number.after + 1,
            value=value,
            written=self._written(value),
            mantissa=number.written,
            spoken=True,
            single=False,
        )

    def _whole_and_parts(self, number: Number) -> Number | None:
        """`одна целая три десятых`, `пять и две десятых`."""
        after = number.after
        if not self._russian or not self.near(after) or not isinstance(number.value, int):
            return None
        whole = bool(re.fullmatch(r"цел(ая|ых|ую|ой|ыми|ым)", self.word(after)))
        behind = after + whole + self.says(after + whole, "и")
        if behind == after:
            return None
        part = self.number(behind) if self.near(behind) else None
        if part is None or not part.fraction or "," not in part.written:
            return None
        written = number.written + part.written[1:]
        return self._scaled(
            replace(
                number,
                after=part.after,
                value=Decimal(written.replace(",", ".")),
                written=written,
                spoken=True,
                single=False,
                fraction=True,
            )
        )

    def _point(self, number: Number) -> Number | None:
        """`три запятая ноль пять`, `three point one four`: what follows is read digit by digit, or as one number."""
        at = number.after
        if not self.says(at, "запятая" if self._russian else "point") or number.mantissa or number.bare:
            return None
        if not isinstance(number.value, int):  # `3,5 запятая`: it has one already
            return None
        digits, at = "", at + 1
        while self.near(at):
            zero = "0" if self.word(at) == "oh" else ""
            part = None if zero else self._sum(at)
            if not zero and (part is None or part.ordinal or part.bare):
                break
            digits += zero or (part.mantissa or part.written if part else "")
            at = at + 1 if part is None else part.after - (part.mantissa is not None)
            if part is not None and part.value >= 10:  # noqa: PLR2004
                break
        if not digits.isdecimal():
            return None
        value = Decimal(f"{number.value}.{digits}")
        return self._scaled(
            replace(number, after=at, value=value, written=self._written(value), fraction=True, single=False)
        )

    def _parts(self, number: Number) -> Number | None:
        """`три четверти`, `пять десятых`, `two thirds`."""
        at = number.after
        if not self._follows(at) or number.mantissa or number.bare or not isinstance(number.value, int):
            return None
        of = self._denominator(number, at)
        decimal = self._russian and str(of).strip("0") == "1"
        if not 0 < number.value < of or not (decimal or number.spoken):
            return None
        written = f"0,{number.value:0{len(str(of)) - 1}d}" if decimal else f"{number.value}/{of}"
        share = replace(
            number,
            after=at + 1,
            value=Decimal(number.value) / of,
            written=written,
            fraction=True,
            spoken=True,
            single=False,
        )
        return self._scaled(share) if decimal else share

    def _denominator(self, number: Number, at: int) -> int:
        word, one = self.word(at), number.value == 1
        if word in _DENOMINATORS:
            return _DENOMINATORS[word]
        if not self._russian:
            numeral = self._numerals.get(word if one else word.removesuffix("s"))
            plural = one or word.endswith("s")
            fits = numeral is not None and numeral.ordinal and plural and numeral.value in (*range(3, 21), HUNDRED)
            return int(numeral.value) if fits and numeral else 0
        numeral = self._numerals.get(word)
        if numeral is None or not numeral.ordinal or numeral.value == 1:
            return 0
        last = self.word(number.after - 1)
        if number.value % 10 == 1 and number.value != 11:  # noqa: PLR2004
            fits = last in {"одна", "одну", "одной"} and numeral.ending in {"я", "ю", "й"}
        else:
            fits = numeral.ending in {"х", "ми", "м"} and numeral.value > 2 and last != "два"  # noqa: PLR2004
        return int(numeral.value) if fits else 0

    def _written(self, value: int | Decimal) -> str:
        """In digits."""
        whole = int(value)
        return str(whole) if whole == value else format(value, "f").replace(".", "," if self._russian else ".")
