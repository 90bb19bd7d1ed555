"""The answers as numbers: a line for each note, without its text. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bench.accuracy.modes import MODES
from bench.accuracy.results import Place
from bench.accuracy.scores import Scored


def document(by: Mapping[str, Mapping[Place, Scored]], head: Mapping[str, Any]) -> str:
    """JSON.

    Of each note its length and words, and by mode: word errors, character errors, core seconds, reason of a rerun.
    """
    places = sorted({place for answers in by.values() for place in answers})
    columns = ["word_errors", "character_errors", "core_seconds", "rerun"]
    lines = ",\n".join(f"  {json.dumps(_note(by, place), ensure_ascii=False)}" for place in places)
    first = json.dumps({**head, "columns": columns}, ensure_ascii=False, indent=1).removesuffix("\n}")
    return f'{first},\n "notes": [\n{lines}\n ]\n}}\n'


def _note(by: Mapping[str, Mapping[Place, Scored]], place: Place) -> dict[str, Any]:
    answers = {mode: by[mode][place] for mode in MODES if place in by.get(mode, {})}
    one = next(iter(answers.values()))
    return {
        "set": place[0],
        "name": place[1],
        "seconds": round(one.seconds, 2),
        "words": one.errors.words,
        "characters": one.errors.characters,
        **{mode: list(_cells(answer)) for mode, answer in answers.items()},
    }


def _cells(answer: Scored) -> Iterator[Any]:
    yield from (answer.errors.word_errors, answer.errors.character_errors, round(answer.core_seconds, 2))
    yield next(iter(answer.reruns), None)
