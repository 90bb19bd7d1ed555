"""From texts to figures: error rates with their intervals, and differences to stock on the same notes.

Needs no model.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from bench.accuracy.modes import Note
from bench.accuracy.results import Place, Result
from sttd.commands.bench.paired import difference, share
from tools.word_errors import Errors, errors, words

CLASSES: Final = ((0, 3), (3, 5), (5, 8), (8, 12), (12, 18))
"""Lengths of audio in seconds, from and below."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer beside its script."""

    note: Note
    errors: Errors
    text: str
    seconds: float
    core_seconds: float
    language: str
    reruns: Mapping[str, int]


def scored(notes: Mapping[Place, Note], found: Mapping[Place, Result]) -> dict[Place, Scored]:
    """Count the errors of each answer whose note is known."""
    return {
        place: Scored(
            notes[place],
            errors(notes[place].text, result["text"], notes[place].language),
            result["text"],
            result["seconds"],
            result["core_seconds"],
            result["language"],
            result.get("reruns", {}),
        )
        for place, result in found.items()
        if place in notes
    }


def row(ours: Sequence[Scored], theirs: Sequence[Scored]) -> dict[str, Any]:
    """One mode beside stock, note by note: the two have the same notes in the same order."""
    said, characters = [one.errors.words for one in ours], [one.errors.characters for one in ours]
    mine, other = ([one.errors.word_errors for one in column] for column in (ours, theirs))
    letters = [one.errors.character_errors for one in ours]
    return {
        "utterances": len(ours),
        "words": sum(said),
        "word_errors": share(mine, said),
        "character_errors": share(letters, characters),
        "stock_word_errors": sum(other) / sum(said),
        "difference": difference(mine, other, said),
        "core_seconds": fmean(one.core_seconds for one in ours),
        "stock_core_seconds": fmean(one.core_seconds for one in theirs),
        "same_words": sum(map(_same_words, ours, theirs)),
        "language_right": sum(one.language == one.note.language for one in ours),
        "reruns": dict(sum((Counter(one.reruns) for one in ours), Counter())),
    }


def _same_words(one: Scored, other: Scored) -> bool:
    return words(one.text, one.note.language) == words(other.text, one.note.language)


def in_class(found: Iterable[Scored], low: float, high: float) -> list[Scored]:
    """Those whose audio is so long."""
    return [one for one in found if low <= one.seconds < high]
