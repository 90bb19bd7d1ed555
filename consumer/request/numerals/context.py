"""The words beside a number that decide what it is: months, units, parts of the day, what is numbered.

Tables only.
"""

import re
from dataclasses import dataclass
from typing import Final

from sttd.consumer.request.numerals.lexicon import Language

_MEASURES: Final = (
    r"градус|(кило|милли)?грамм|кило$|тонн|центнер|(милли)?литр|(кило|санти|милли)?метр(а|у|ом|е|ы|ов|ам|ами|ах)?$"
    r"|час(а|у|ом|е|ы|ов|ам|ами|ах)?$|(минут|секунд)(а|у|ы|е|ой|ам|ами|ах)?$"
)


@dataclass(frozen=True, slots=True)
class Context:
    """Patterns of one whole word, plain; `halves` and `quarters` may follow `and a` or `с`."""

    percent: re.Pattern[str]
    degrees: re.Pattern[str]
    units: re.Pattern[str]
    months: re.Pattern[str]
    counted: re.Pattern[str]
    codes: re.Pattern[str]
    joins: frozenset[str]
    signs: dict[str, str]
    hour_after: frozenset[str]
    weak: re.Pattern[str]
    things: re.Pattern[str]


CONTEXTS: Final[dict[Language, Context]] = {
    "ru": Context(
        percent=re.compile(r"процент(а|у|ом|е|ы|ов|ам|ами|ах)?$"),
        degrees=re.compile(r"градус|процент"),
        units=re.compile(rf"рубл|копе(й|ек)|доллар|евро$|цент(?!р)|процент|гривн|гривен|тенге$|юан|фунт|{_MEASURES}"),
        months=re.compile(
            r"(январ|феврал|апрел|июн|июл|сентябр|октябр|ноябр|декабр)(ь|я|ю|ем|е)$|(март|август)(а|у|ом|е)?$"
            r"|ма(й|я|ю|ем|е)$"
        ),
        counted=re.compile(
            r"(этаж|подъезд|класс|курс|век|том|пункт|вагон|ряд)(а|у|ом|е|и|ы|ов|ам|ами|ах)?$"
            r"|(квартир|страниц|глав)(а|ы|е|у|ой|ам|ами|ах)?$|(числ|мест)(о|а|у|ом|е)$"
        ),
        codes=re.compile(r"код(а|у|ом|е)?$|пин$|номер(а|у|ом|е)?$|телефон(а|у|ом|е)?$|дом$|квартира$"),
        joins=frozenset({"до", "или"}),
        signs={"минус": "-", "плюс": "+"},
        hour_after=frozenset("в к до с после на около".split()),
        weak=re.compile(r"одн|один$|нол|нул"),
        things=re.compile(r"раза?$|человек|лет$|год|дн(я|ей|ям)|штук|месяц|недел|сут"),
    ),
    "en": Context(
        percent=re.compile(r"percent$"),
        degrees=re.compile(r"degrees?$|percent$"),
        units=re.compile(
            r"(dollar|cent|euro|pound|degree|gram|kilogram|kilo|ton|litre|liter|metre|meter|kilometre|kilometer|mile"
            r"|hour|minute|second)s?$|percent$"
        ),
        months=re.compile(r"(january|february|march|april|may|june|july|august|september|october|november|december)$"),
        counted=re.compile(r"(floor|grade|century|chapter|page|row)s?$"),
        codes=re.compile(r"(code|pin|number|phone)$"),
        joins=frozenset({"to", "or"}),
        signs={"minus": "-", "plus": "+"},
        hour_after=frozenset("at by until till from to before after around".split()),
        weak=re.compile(r"(one|zero|oh)$"),
        things=re.compile(r"times$|people$|years?$|days?$|weeks?$|months?$"),
    ),
}

YEAR: Final = re.compile(r"год(а|у|ом|е)?$")
GREATER: Final = frozenset("около до более менее больше меньше свыше от с из порядка для".split())
"""What stands before `тысячи рублей` when a single thousand is meant."""
PREPOSITIONS: Final = GREATER | frozenset("в на о об к по при после у ко над под".split())
TOGETHER: Final = frozenset({"с", "между", "перед", "над"})
"""What stands before `семью` when it is the number."""
