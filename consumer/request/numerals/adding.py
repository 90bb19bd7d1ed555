"""How the words of one number add up: `two thousand` takes `and five`, `fifty` takes `five`, `five` takes nothing.

Pure.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sttd.consumer.request.numerals.lexicon import Numeral

THOUSAND: Final = 1000
HUNDRED: Final = 100
_MOST: Final = 10**12


@dataclass(slots=True)
class Sum:
    """A number while it is read: `total` above `group`, which takes addends below `room`; scales below `ceiling`."""

    total: int | Decimal = 0
    group: int | Decimal | None = None
    room: int = _MOST
    ceiling: int = _MOST
    before: Numeral | None = None
    bare: bool = False
    mantissa: int | Decimal | None = None
    scales: int = 0

    @property
    def value(self) -> int | Decimal:
        """What it is worth so far."""
        return self.total + (self.group or 0)

    def takes(self, numeral: Numeral) -> bool:
        """Add one word, if a number may go on with it."""
        return self._multiplied(numeral) if numeral.multiplies else self._added(numeral)

    def _multiplied(self, by: Numeral) -> bool:
        scale = int(by.value)
        if scale == HUNDRED:
            if self.group is None:
                self.bare = not self.total
            elif not (1 <= self.group < HUNDRED) or self.group % 10 == 0:
                return False
            self.mantissa = self.group
            self.group, self.room = (self.group or 1) * HUNDRED, HUNDRED
            return True
        if scale >= self.ceiling or self.group == 0:
            return False
        if self.group is None and not any(case.endswith("1") for case in by.cases or {"1"}):
            return False
        self.bare = self.bare or (self.group is None and not self.total)
        self.mantissa, self.scales = self.group, self.scales + 1
        self.total += (1 if self.group is None else self.group) * scale
        self.ceiling, self.group, self.room, self.before = scale, None, scale, by
        return True

    def _added(self, numeral: Numeral) -> bool:
        value = int(numeral.value)
        begun = self.group is not None or self.scales
        if (begun and not (0 < value < self.room)) or (self.group is None and value >= self.ceiling):
            return False
        if self.before and not self.before.multiplies and self._disagrees(numeral):
            return False
        self.group = (self.group or 0) + value
        self.room = HUNDRED if value % HUNDRED == 0 and value else 10 if value % 10 == 0 and value > 10 else 0  # noqa: PLR2004
        self.before, self.mantissa, self.bare = numeral, None, False
        return True

    def _disagrees(self, numeral: Numeral) -> bool:
        """`двадцати три`: two numbers. Hundreds and tens that stay in the nominative are common in speech."""
        before = self.before.cases if self.before else frozenset()
        return bool(before and numeral.cases and "n" not in before and not before & numeral.cases)
