"""What a single word means: the forms of Russian and English numerals, from num2words.

Pure; each lexicon is built once, when it is first asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import product
from typing import Final, Literal, TypeAlias

from num2words import num2words

Language: TypeAlias = Literal["ru", "en"]

LANGUAGES: Final[tuple[Language, ...]] = ("ru", "en")

_SIMPLE: Final = (*range(21), *range(30, 100, 10), *range(100, 1000, 100))
_SCALES: Final = (10**3, 10**6, 10**9)
_RARE: Final = {"нуль": "ноль", "восьмью": "восемью", "восьмьюдесятью": "восемьюдесятью", "тысячью": "тысячей"}
"""Forms that num2words does not make -> those that mean the same."""
_VOWELS: Final = frozenset("аеиоуыэюя")


@dataclass(frozen=True, slots=True)
class Numeral:
    """One word. `cases`: those of a declined cardinal; `ending`: of an ordinal, as it stands after digits."""

    value: int | Decimal
    ordinal: bool = False
    cases: frozenset[str] = frozenset()
    ending: str = ""

    @property
    def multiplies(self) -> bool:
        """A thousand and the like, and the English hundred: what stands before it is multiplied."""
        return not self.ordinal and (self.value in _SCALES or (self.value == 100 and not self.cases))  # noqa: PLR2004


def plain(word: str) -> str:
    """As the lexicons have it."""
    return word.lower().replace("ё", "е").replace("\u0301", "")


@cache
def numerals(language: Language) -> Mapping[str, Numeral]:
    """All words that are numbers by themselves, in their forms, plain."""
    return dict(_russian() if language == "ru" else _english())


def _russian() -> Iterator[tuple[str, Numeral]]:
    cases: dict[tuple[str, int], set[str]] = {}
    for case, gender, alive in product("nagdip", "mfn", (True, False)):
        forms = {"lang": "ru", "case": case, "gender": gender, "animate": alive}
        for value in _SIMPLE:
            cases.setdefault((plain(num2words(value, **forms)), value), set()).add(case)
        for scale, times in product(_SCALES, (1, 2, 5)):
            word = plain(num2words(scale * times, **forms).split()[-1])
            cases.setdefault((word, scale), set()).add(f"{case}{times}")
        for value in (*_SIMPLE, *(1000 * times for times in _SIMPLE[1:]), *_SCALES):
            for many in (True, False):
                word = plain(num2words(value, to="ordinal", plural=many, **forms))
                if " " not in word and value:
                    yield word, Numeral(value, ordinal=True, ending=short_ending(word))
    found = {word: Numeral(value, cases=frozenset(known)) for (word, value), known in cases.items()}
    yield from found.items()
    yield from ((rare, found[usual]) for rare, usual in _RARE.items())
    yield from ((form.replace("нол", "нул"), found[form]) for form in list(found) if form.startswith("нол"))
    yield from ((form, Numeral(Decimal("1.5"))) for form in ("полтора", "полторы", "полутора"))


def short_ending(word: str) -> str:
    """`двадцатый` -> `й`, `двадцатого` -> `го`: two letters if the last but one is a consonant."""
    return word[-1] if word[-2:-1] in {"", "ь", *_VOWELS} else word[-2:]


def _english() -> Iterator[tuple[str, Numeral]]:
    for value in range(101):
        ordinal = num2words(value, lang="en", to="ordinal").split()[-1]
        if "-" not in ordinal and value:
            yield ordinal, Numeral(value, ordinal=True)
    for value in (*_SIMPLE[:28], 100, *_SCALES):
        word = num2words(value, lang="en").split()[-1]
        yield word, Numeral(value)
        if value >= 100:  # noqa: PLR2004
            yield f"{word}th", Numeral(value, ordinal=True)
