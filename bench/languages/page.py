"""docs/benchmarks/languages.md from the probabilities. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bench.accuracy.results import Place, Result
from sttd.consumer.engine.model.language import SURE
from tools.voices import Utterance

THRESHOLDS: Final = (0.0, 0.5, 0.7)
MOST: Final = 3
"""Wrong languages that a row names."""


Heard = dict[str, list[Mapping[str, float]]]
"""By what was spoken: the probabilities of each note."""


def page(chosen: Sequence[Utterance], found: Mapping[Place, Result], head: Mapping[str, Any]) -> str:
    """The whole page."""
    heard: Heard = {}
    for one in chosen:
        if (one.set, one.name) in found:
            heard.setdefault(one.language, []).append(found[one.set, one.name]["probabilities"])
    return "\n".join([*_head(head), *_rows(heard), ""])


def _head(head: Mapping[str, Any]) -> Iterator[str]:
    yield from (
        "# The language of short notes",
        "",
        "Which language `auto` finds in telephone prompts of 1 to 5 s, one speaker a language",
        "(`asterisk-core-sounds-*`).",
        "",
        f"- {head['date']}; {head['machine']['cpu']}; {head['model']} `{head['sha256'][:12]}`. {head['remark']}",
        "- Last columns: percent of notes with the right language, if below this probability the daemon's default",
        "  language is taken. Before the slash the default is the spoken language, after it another (mean).",
        f"  The daemon uses {SURE:g}.",
        "",
    )


def _rows(heard: Heard) -> Iterator[str]:
    titles = ["spoken", "notes", "taken for", *(f"{threshold:g}" for threshold in THRESHOLDS)]
    yield f"| {' | '.join(titles)} |"
    yield "| --- " * len(titles) + "|"
    for spoken, notes in heard.items():
        best = Counter(max(one, key=one.__getitem__) for one in notes).most_common()
        wrong = ", ".join([f"{code} {count}" for code, count in best if code != spoken][:MOST])
        cells = [_right(heard, spoken, threshold) for threshold in THRESHOLDS]
        yield f"| {spoken} | {len(notes)} | {wrong} | {' | '.join(cells)} |"


def _right(heard: Heard, spoken: str, threshold: float) -> str:
    own, *others = (
        sum(_chosen(one, default, threshold) == spoken for one in heard[spoken]) / len(heard[spoken])
        for default in (spoken, *(code for code in heard if code != spoken))
    )
    return f"{100 * own:.0f}/{100 * sum(others) / max(1, len(others)):.0f}"


def _chosen(probabilities: Mapping[str, float], default: str, threshold: float) -> str:
    best = max(probabilities, key=probabilities.__getitem__)
    return best if probabilities[best] >= threshold else default
