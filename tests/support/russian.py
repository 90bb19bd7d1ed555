"""Russian numerals in all cases and genders, from tables of our own: what a test says, not what a library makes."""

from typing import Final

CASES: Final = "ngdaip"
GENDERS: Final = "mfn"

_SMALL: Final = {
    0: "ноль нуля нулю ноль нулём нуле",
    2: "два двух двум два двумя двух",
    3: "три трёх трём три тремя трёх",
    4: "четыре четырёх четырём четыре четырьмя четырёх",
    8: "восемь восьми восьми восемь восемью восьми",
    40: "сорок сорока сорока сорок сорока сорока",
    90: "девяносто девяноста девяноста девяносто девяноста девяноста",
    100: "сто ста ста сто ста ста",
    200: "двести двухсот двумстам двести двумястами двухстах",
    300: "триста трёхсот трёмстам триста тремястами трёхстах",
    400: "четыреста четырёхсот четырёмстам четыреста четырьмястами четырёхстах",
}
_ONE: Final = {
    "m": "один одного одному один одним одном",
    "f": "одна одной одной одну одной одной",
    "n": "одно одного одному одно одним одном",
}
_LIKE_FIVE: Final = {
    5: "пят", 6: "шест", 7: "сем", 9: "девят", 10: "десят", 11: "одиннадцат", 12: "двенадцат", 13: "тринадцат",
    14: "четырнадцат", 15: "пятнадцат", 16: "шестнадцат", 17: "семнадцат", 18: "восемнадцат", 19: "девятнадцат",
    20: "двадцат", 30: "тридцат",
}  # fmt: skip
_TENS: Final = {50: ("пять", "пяти", "пятью"), 60: ("шесть", "шести", "шестью"), 70: ("семь", "семи", "семью"),
                80: ("восемь", "восьми", "восемью")}  # fmt: skip
_HUNDREDS: Final = {
    500: _TENS[50],
    600: _TENS[60],
    700: _TENS[70],
    800: _TENS[80],
    900: ("девять", "девяти", "девятью"),
}
_SCALES: Final = {
    10**9: ("m", "миллиард", ["", "а", "у", "", "ом", "е"], ["ы", "ов", "ам", "ы", "ами", "ах"], "ов"),
    10**6: ("m", "миллион", ["", "а", "у", "", "ом", "е"], ["ы", "ов", "ам", "ы", "ами", "ах"], "ов"),
    10**3: ("f", "тысяч", ["а", "и", "е", "у", "ей", "е"], ["и", "", "ам", "и", "ами", "ах"], ""),
}
_ORDINALS: Final = {
    1: "перв", 2: "втор", 4: "четвёрт", 5: "пят", 6: "шест", 7: "седьм", 8: "восьм", 9: "девят", 10: "десят",
    40: "сороков", 50: "пятидесят", 60: "шестидесят", 70: "семидесят", 80: "восьмидесят", 90: "девяност", 100: "сот",
    200: "двухсот", 300: "трёхсот", 400: "четырёхсот", 500: "пятисот", 600: "шестисот", 700: "семисот",
    800: "восьмисот", 900: "девятисот",
} | {value: stem for value, stem in _LIKE_FIVE.items() if value > 10}  # fmt: skip
_STRESSED: Final = {2, 6, 7, 8, 40}
_ADJECTIVE: Final = {
    "m": "ый ого ому ый ым ом",
    "f": "ая ой ой ую ой ой",
    "n": "ое ого ому ое ым ом",
    "p": "ые ых ым ые ыми ых",
}
_THIRD: Final = {
    "m": "третий третьего третьему третий третьим третьем",
    "f": "третья третьей третьей третью третьей третьей",
    "n": "третье третьего третьему третье третьим третьем",
    "p": "третьи третьих третьим третьи третьими третьих",
}


def _single(value: int, case: str, gender: str) -> str:
    at = CASES.index(case)
    if value == 1:
        return _ONE[gender].split()[at]
    if value == 2 and gender == "f" and case in "na":
        return "две"
    if value in _SMALL:
        return _SMALL[value].split()[at]
    if value in _LIKE_FIVE:
        return _LIKE_FIVE[value] + ("ь", "и", "и", "ь", "ью", "и")[at]
    if value in _TENS:
        stems = _TENS[value]
        return f"{stems[0]}десят" if case in "na" else f"{stems[2]}десятью" if case == "i" else f"{stems[1]}десяти"
    stems = _HUNDREDS[value]
    ending = ("сот", "сот", "стам", "сот", "стами", "стах")[at]
    return (stems[0] if case in "na" else stems[2] if case == "i" else stems[1]) + ending


def _parts(value: int) -> list[int]:
    """Below a thousand: 321 -> [300, 20, 1]."""
    hundreds, rest = value // 100 * 100, value % 100
    tens, units = (rest // 10 * 10, rest % 10) if rest > 19 else (0, rest)
    return [part for part in (hundreds, tens, units) if part]


def cardinal(value: int, case: str = "n", gender: str = "m") -> str:
    """In words."""
    if value == 0:
        return _single(0, case, gender)
    said: list[str] = []
    for scale, (own, stem, single, several, many) in _SCALES.items():
        count = value // scale % 1000
        if not count:
            continue
        last = 5 if count % 100 in range(11, 15) else count % 10
        said += [_single(part, case, own) for part in _parts(count)]
        at = CASES.index(case)
        if last == 1:
            said.append(stem + single[at])
        elif case in "na":
            said.append(stem + (single[1] if last in {2, 3, 4} else many))
        else:
            said.append(stem + several[at])
    return " ".join([*said, *(_single(part, case, gender) for part in _parts(value % 1000))])


def ordinal(value: int, case: str = "n", gender: str = "m") -> str:
    """In words; `gender` p: the plural. `value` does not end in three zeros."""
    *_, last = _parts(value % 1000)
    at = CASES.index(case)
    if last == 3:
        word = _THIRD[gender].split()[at]
    else:
        ending = _ADJECTIVE[gender].split()[at]
        word = _ORDINALS[last] + ("ой" if ending == "ый" and last in _STRESSED else ending)
    return f"{cardinal(value - last)} {word}" if value > last else word
