"""The spoken sentences: 300 that Festival says in the units of a recorded voice, and those of people with numbers.

Each has the figures that a right transcript holds. Pure but for the table of people's sentences.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from num2words import num2words

SEED: Final = 17
HUMAN: Final = Path(__file__).with_name("human.tsv")
MONTHS: Final = "января февраля марта апреля мая июня июля августа сентября октября ноября декабря".split()
TEN: Final = 10
EVENING: Final = range(4, 12)


@dataclass(frozen=True, slots=True)
class Sentence:
    """`figures`: the numbers of the sentence as `digits` writes them, in order."""

    kind: str
    text: str
    figures: tuple[str, ...]


Maker = Callable[[Random], tuple[str, list[str]]]


def festival() -> list[Sentence]:
    """The same 300 in every run."""
    draw = Random(SEED)  # noqa: S311 - sentences, not secrets
    found: dict[str, Sentence] = {}
    for kind, (count, makers) in KINDS.items():
        wanted = len(found) + count
        while len(found) < wanted:
            text, figures = draw.choice(makers)(draw)
            found.setdefault(text, Sentence(kind, text, tuple(figures)))
    return list(found.values())


def human() -> dict[tuple[str, str], tuple[str, ...]]:
    """(set, name) of a recording -> its figures, read by a person from the script."""
    lines = (line.split("\t") for line in HUMAN.read_text(encoding="utf-8").splitlines())
    return {(line[0], line[1]): tuple(line[2].split(" ")) for line in lines}


def _words(value: int, **form: object) -> str:
    return str(num2words(value, lang="ru", **form))


def _many(value: int, one: str, few: str, many: str) -> str:
    last = 5 if value % 100 in range(11, 15) else value % 10
    return one if last == 1 else few if last in {2, 3, 4} else many


def _amount(draw: Random) -> int:
    """Without a single thousand: `одну тысячу` is another case."""
    value = draw.choice([draw.randrange(2, 100), draw.randrange(10, 100) * 10, draw.randrange(20, 100) * 100 + 50])
    return value + 1000 if value // 1000 % 10 == 1 else value


def _money(draw: Random) -> tuple[str, list[str]]:
    value = _amount(draw)
    said = f"{_words(value)} {_many(value, 'рубль', 'рубля', 'рублей')}"
    frame = draw.choice(["Купил продукты на {}.", "С тебя {} за такси.", "Билет стоит {}.", "Переведи {} на карту."])
    return frame.format(said), [str(value)]


def _kopecks(draw: Random) -> tuple[str, list[str]]:
    roubles, kopecks = draw.randrange(5, 21), draw.randrange(5, 20) * 5
    return f"Итого {_words(roubles)} рублей {_words(kopecks)} копеек.", [str(roubles), str(kopecks)]


def _time(draw: Random) -> tuple[str, list[str]]:
    hour, minute = draw.randrange(5, 21), draw.choice([5, 10, 15, 20, 25, 30, 40, 45, 50])
    said = f"{_words(hour)} {'ноль ' if minute < TEN else ''}{_words(minute)}"
    frame = draw.choice(["Поезд отходит в {}.", "Встречаемся в {} у входа."])
    return frame.format(said), [f"{hour}:{minute:02d}"]


def _evening(draw: Random) -> tuple[str, list[str]]:
    hour = draw.choice(EVENING)
    half = _words(hour + 1, to="ordinal", case="g")
    said, minute = draw.choice([(f"в половине {half} вечера", 30), (f"в {_words(hour)} тридцать вечера", 30)])
    return f"Давай встретимся {said}.", [f"{hour + 12}:{minute}"]


def _date(draw: Random) -> tuple[str, list[str]]:
    day, month, year = draw.randrange(1, 29), draw.choice(MONTHS), draw.randrange(2002, 2027)
    said = f"{_words(day, to='ordinal', case='g')} {month}"
    if draw.random() < 0.5:  # noqa: PLR2004
        return draw.choice(["Отпуск начинается {}.", "Он родился {}."]).format(said), [str(day)]
    return f"Договор подписали {said} {_words(year, to='ordinal', case='g')} года.", [str(day), str(year)]


def _count(draw: Random) -> tuple[str, list[str]]:
    value = draw.choice([draw.randrange(5, 21), draw.randrange(25, 100), draw.randrange(105, 1000)])
    frame = draw.choice(["На складе осталось {} {}.", "Нужно заказать {} {}."])
    return frame.format(_words(value, gender="f"), _many(value, "коробка", "коробки", "коробок")), [str(value)]


def _percent(draw: Random) -> tuple[str, list[str]]:
    value = draw.randrange(2, 100)
    said = f"{_words(value)} {_many(value, 'процент', 'процента', 'процентов')}"
    return draw.choice(["Скидка {} до конца недели.", "Телефон заряжен на {}."]).format(said), [f"{value}%"]


def _half(draw: Random) -> tuple[str, list[str]]:
    value = draw.randrange(2, 10)
    scale = "тысячи" if value < 5 else "тысяч"  # noqa: PLR2004
    return draw.choice(
        [
            (f"Это стоит {_words(value, gender='f')} с половиной {scale} рублей.", [str(value * 1000 + 500)]),
            (f"Ехать {_words(value)} с половиной часа.", [f"{value},5"]),
            (f"Надо взять {_words(value)} с половиной килограмма.", [f"{value},5"]),
        ]
    )


def _ordinal(draw: Random) -> tuple[str, list[str]]:
    value = draw.randrange(11, 60)
    return draw.choice(
        [
            (f"Мы живём на {_words(value, to='ordinal', case='p')} этаже.", [f"{value}-м"]),
            (f"Приехал {_words(value, to='ordinal')} автобус.", [f"{value}-й"]),
        ]
    )


def _telephone(draw: Random) -> tuple[str, list[str]]:
    """Groups that cannot be read as one number."""
    code, middle = (draw.randrange(900, 1000), draw.randrange(2, 10) * 100 + draw.randrange(2, 10) * 10 + 5)
    pairs = [draw.randrange(2, 10) * 10 + draw.randrange(1, 10) for _ in range(2)]
    groups = [8, code, middle, *pairs]
    return f"Мой номер {' '.join(map(_words, groups))}.", ["".join(map(str, groups))]


KINDS: Final[dict[str, tuple[int, list[Maker]]]] = {
    "money": (60, [_money, _money, _kopecks]),
    "time": (50, [_time, _evening]),
    "date": (50, [_date]),
    "count": (50, [_count]),
    "percent": (30, [_percent]),
    "half": (20, [_half]),
    "ordinal": (20, [_ordinal]),
    "telephone": (20, [_telephone]),
}
