"""Which words of a script are listed terms, and which of them were heard right. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import jiwer

from tools.word_errors import words

ENDINGS: Final = 3
"""Letters that a Russian case may add to a stem."""


SHORTEST: Final = 3
"""Letters of a stem."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Words of one script: how many are listed terms, how many of those went wrong; the same of the others."""

    terms: int
    term_errors: int
    others: int
    other_errors: int


class Terms:
    """The listed terms in any case."""

    def __init__(self, listed: Iterable[str]) -> None:
        """`listed`: single words in the nominative."""
        stems = [_stem(term.lower().replace("ё", "е")) for term in listed]
        self._pattern = re.compile(f"(?:{'|'.join(stems)})[а-я]{{0,{ENDINGS}}}")

    def has(self, word: str) -> bool:
        """Whether this is one of them."""
        return self._pattern.fullmatch(word) is not None

    def in_script(self, text: str) -> bool:
        """Whether a sentence has one."""
        return any(map(self.has, words(text, "ru")))

    def heard(self, said: str, text: str) -> Heard:
        """Compare a text with its script; an added word counts as an error of the other words."""
        script, found = words(said, "ru"), words(text, "ru")
        right: set[int] = set()
        added = 0
        for chunk in jiwer.process_words(" ".join(script), " ".join(found)).alignments[0]:
            if chunk.type == "equal":
                right |= {*range(chunk.ref_start_idx, chunk.ref_end_idx)}
            elif chunk.type == "insert":
                added += chunk.hyp_end_idx - chunk.hyp_start_idx
        terms = {place for place, word in enumerate(script) if self.has(word)}
        others = len(script) - len(terms)
        return Heard(len(terms), len(terms - right), others, others - len(right - terms) + added)


def _stem(term: str) -> str:
    """Without the ending that cases change; what would be left of "Руо" is in too many words."""
    stem = re.sub("[аеиоуыэюяйь]+$", "", term)
    return stem if len(stem) >= SHORTEST else term
