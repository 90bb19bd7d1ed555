"""Sentences that the demo model was made for: short spoken notes about personal spending, Russian and English.

Pure: a `random.Random` in, a sentence out. Never speaks (tools/demo_wer.py does).
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

ONES: Final = (
    "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать четырнадцать "
    "пятнадцать "
    "шестнадцать семнадцать восемнадцать девятнадцать"
).split()
TENS: Final = "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто".split()
HUNDREDS: Final = "сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот".split()
FEMININE: Final = {"один": "одну", "два": "две"}  # as in "две тысячи"

BOUGHT: Final = ("купил", "купила", "взял", "взяла")
SPENT: Final = ("потратил", "потратила", "заплатил", "заплатила")
PAID: Final = ("оплатил", "оплатила")
THINGS: Final = (
    "продукты хлеб молоко кофе бензин обед ужин завтрак билеты лекарства книгу подарок цветы чай мясо рыбу овощи сыр "
    "торт"
).split()
CAUSES: Final = (
    "продукты такси бензин кофе обед ужин метро автобус парковку лекарства кино ремонт подарок связь аптеку кафе"
).split()
INCOMES: Final = "зарплату аванс премию перевод возврат".split()
PEOPLE: Final = "маме папе другу брату сестре жене мужу".split()
WHEN: Final = ("сегодня", "вчера", "утром", "вечером", "в субботу", "в понедельник", "во вторник", "в среду")
SPANS: Final = ("за неделю", "за месяц", "за год", "сегодня", "вчера")
ROUND_SUMS: Final = ("полторы тысячи", "две с половиной тысячи", "три с половиной тысячи", "полтысячи", "сто тысяч")

EN_ONES: Final = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
EN_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety".split()
EN_THINGS: Final = (
    "groceries bread milk coffee gas lunch dinner breakfast tickets medicine clothes shoes flowers toys water tea"
).split()
EN_WHEN: Final = ("today", "yesterday", "this morning", "last night")


def russian(random: Random) -> str:
    """One Russian note."""
    (phrase,) = random.choices(list(_RUSSIAN), weights=list(_RUSSIAN.values()))
    return _sentence(phrase(random))


def english(random: Random) -> str:
    """One English note."""
    amount, thing = _dollars(random), random.choice(EN_THINGS)
    note = random.choice((f"bought {thing} for {amount}", f"spent {amount} on {thing}", f"I paid {amount} for {thing}"))
    return _sentence(f"{note} {random.choice(EN_WHEN)}" if random.random() < 0.3 else note)  # noqa: PLR2004 - 30 %


def in_words(number: int) -> str:
    """A Russian number from 1 to 999,999 as it is spoken in front of roubles."""
    thousands, rest = divmod(number, 1000)
    words = (
        [*_below_thousand(thousands, feminine=True), _plural(thousands, "тысячу", "тысячи", "тысяч")]
        if thousands
        else []
    )
    return " ".join([*words, *_below_thousand(rest)])


def in_english(number: int) -> str:
    """An English number from 1 to 999,999."""
    if number < len(EN_ONES) + 1:
        return EN_ONES[number - 1]
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            most, rest = divmod(number, size)
            return f"{in_english(most)} {name}" + (f" {in_english(rest)}" if rest else "")
    tens, rest = divmod(number, 10)
    return EN_TENS[tens - 2] + (f" {EN_ONES[rest - 1]}" if rest else "")


def _below_thousand(number: int, *, feminine: bool = False) -> list[str]:
    hundreds, rest = divmod(number, 100)
    words = [HUNDREDS[hundreds - 1]] if hundreds else []
    if rest >= len(ONES):
        words.append(TENS[rest // 10 - 2])
        rest %= 10
    if rest:
        words.append(FEMININE.get(ONES[rest], ONES[rest]) if feminine else ONES[rest])
    return words


def _plural(number: int, one: str, few: str, many: str) -> str:
    """Russian has three forms: 1 тысячу, 2 тысячи, 5 тысяч; 11 to 14 take the last."""
    if number % 100 in range(11, 15):
        return many
    return one if number % 10 == 1 else few if number % 10 in range(2, 5) else many


def _sum(random: Random) -> str:
    if random.random() < 0.12:  # noqa: PLR2004 - about one in eight is one phrase
        return random.choice(ROUND_SUMS)
    number = random.choice(
        (
            random.randint(2, 99),
            random.randint(1, 20) * 10,
            random.randint(1, 9) * 100 + random.choice((0, 50)),
            random.randint(2, 30) * 1000,
            random.randint(2, 30) * 1000 + random.randint(1, 9) * 100,
        )
    )
    return f"{in_words(number)} {_plural(number, 'рубль', 'рубля', 'рублей')}"


def _dollars(random: Random) -> str:
    number = random.choice((random.randint(2, 99), random.randint(1, 99) * 10, random.randint(1, 20) * 1000))
    return f"{in_english(number)} dollars"


def _bought(random: Random) -> str:
    note = f"{random.choice(BOUGHT)} {random.choice(THINGS)} {random.choice(('на', 'за'))} {_sum(random)}"
    return f"{random.choice(WHEN)} {note}" if random.random() < 0.3 else note  # noqa: PLR2004 - a third of them


_RUSSIAN: Final[Mapping[Callable[[Random], str], int]] = {  # the phrase of a note, and how often of 100
    _bought: 35,
    lambda r: f"{r.choice(SPENT)} {_sum(r)} {r.choice(('на', 'за'))} {r.choice(CAUSES)}": 30,
    lambda r: f"{r.choice(PAID)} {r.choice(THINGS)} {_sum(r)}": 10,
    lambda r: f"{r.choice(('получил', 'получила'))} {r.choice(INCOMES)} {_sum(r)}": 9,
    lambda r: f"{r.choice(('перевёл', 'перевела'))} {r.choice(PEOPLE)} {_sum(r)}": 6,
    lambda r: f"запиши {_sum(r)} на {r.choice(CAUSES)}": 5,
    lambda r: f"сколько я {r.choice(('потратил', 'потратила'))} {r.choice(SPANS)} на {r.choice(CAUSES)}?": 5,
}


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith("?") else f"{text}."
