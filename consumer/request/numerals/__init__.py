"""Numbers in a transcript written one way: all in digits, or all in words, Russian and English.

The public function of this package. Pure: no I/O, no model; it never raises for any text.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sttd.consumer.request.numerals.digits import changes
from sttd.consumer.request.numerals.figures import as_digits, one_way, sums
from sttd.consumer.request.numerals.lexicon import LANGUAGES, Language
from sttd.consumer.request.numerals.spelling import Change, spelt

Reader = Callable[[str, Language], Iterable[Change]]

_FORMS: Final[dict[str, tuple[Reader, ...]]] = {
    "digits": (one_way, as_digits, sums, changes, sums),
    "words": (one_way, sums, spelt),
}
"""The steps to each form; each reads what the one before has written."""


def rewritten(parts: Sequence[str], language: str, form: str) -> list[str]:
    """The parts of one text with its numbers in `form` (`digits` or `words`).

    A number that goes over the end of a part stands where it begins. Another language than Russian and English, and
    `as_heard`, change nothing.
    """
    known = next((one for one in LANGUAGES if one == language), None)
    if known is None or form not in _FORMS:
        return list(parts)
    written = list(parts)
    for read in _FORMS[form]:
        written = _changed(written, sorted(read("".join(written), known), key=lambda change: change.start))
    return written


def _changed(parts: Sequence[str], found: Sequence[Change]) -> list[str]:
    written, at = [], 0
    for part in parts:
        written.append(_part(part, at, found))
        at += len(part)
    return written


def _part(part: str, at: int, found: Iterable[Change]) -> str:
    """`at`: where the part begins in the text that the changes are of."""
    end, made, here = at + len(part), "", at
    for change in found:
        if change.end > at and change.start < end:
            made += part[here - at : max(change.start, at) - at] + (change.written if change.start >= at else "")
            here = min(change.end, end)
    return made + part[here - at :]
