"""docs/benchmarks/numerals.md from the answers. Pure."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bench.accuracy.modes import Note
from bench.accuracy.results import Place, Result
from bench.numerals.score import Verdict, judge
from bench.numerals.sentences import festival, human
from sttd.commands.bench.paired import share

WIDEST: Final = 118
FEWEST: Final = 5
"""Of fewer notes an interval says nothing."""


def page(notes: Sequence[Note], found: Mapping[Place, Result], head: Mapping[str, Any]) -> str:
    """The whole page."""
    groups = _judged(notes, found)
    rows = [_row(name, verdicts) for name, verdicts in groups.items()]
    examples = [
        part for line in _examples(notes, found) for part in textwrap.wrap(f"- {line}", WIDEST, subsequent_indent="  ")
    ]
    return "\n".join([*_head(head, len(found), len(notes)), *_TABLE, *rows, "", *_EXAMPLES, *examples, ""])


def expected(notes: Sequence[Note]) -> dict[Place, tuple[str, tuple[str, ...]]]:
    """Group and right figures of each note."""
    people = human()
    spoken = {f"{number:03}-{one.kind}": one for number, one in enumerate(festival())}
    return {
        (note.set, note.name): (f"Festival, {spoken[note.name].kind}", spoken[note.name].figures)
        if note.name in spoken
        else (f"people, {note.set}", people[note.set, note.name])
        for note in notes
    }


def _judged(notes: Sequence[Note], found: Mapping[Place, Result]) -> dict[str, list[Verdict]]:
    groups: dict[str, list[Verdict]] = {}
    known = expected(notes)
    for note in sorted(notes, key=lambda note: (note.set, note.name)):
        place = (note.set, note.name)
        if place in found:
            group, figures = known[place]
            groups.setdefault(group, []).append(judge(note.text.replace("+", ""), found[place]["text"], figures))
    for kind in ("Festival", "people"):
        both = [verdict for name, own in groups.items() if name.startswith(kind) for verdict in own]
        if both:
            groups[f"**{kind}**"] = both
    return groups


def _head(head: Mapping[str, Any], done: int, of: int) -> Iterator[str]:
    told = head["machine"]
    yield from (
        "# Numbers as digits",
        "",
        "How many sentences have all their numbers exactly right in digits, without `numerals` and with `digits`.",
        "",
        f"- {head['date']}; {told['cpu']}; model {head['model']}, `{head['sha256'][:12]}`; {done} of {of} notes",
        "- Festival: 300 sentences of everyday notes, in units of a recorded voice (`festvox-ru`). People: what the",
        "  two Russian sets have with a number ([accuracy.md](accuracy.md)).",
        "- *model*: other numbers were heard than were said. *conversion*: the right number words or figures were",
        "  heard and do not come out as they should: most may be something else (`16-20` a range, `1925` a year).",
        "  Brackets: 95 % interval, sentences drawn again 4,000 times.",
        "",
        "To run it: `python -m bench numerals` (resumable; needs Debian's festival and festvox-ru).",
        "",
    )


_TABLE: Final = (
    "| sentences | number | right as heard, % | right with `digits`, % | wrong: model | wrong: conversion |",
    "| --- | --- | --- | --- | --- | --- |",
)
_EXAMPLES: Final = ("What went wrong, up to 20 (said; heard):", "")


def _row(name: str, verdicts: Sequence[Verdict]) -> str:
    faults = Counter(verdict.fault for verdict in verdicts)
    heard = _percent([verdict.as_heard for verdict in verdicts])
    right = _percent([verdict.fault == "none" for verdict in verdicts])
    return f"| {name} | {len(verdicts)} | {heard} | {right} | {faults['model']} | {faults['conversion']} |"


def _percent(hits: Sequence[bool]) -> str:
    figure = share([int(hit) for hit in hits], [1] * len(hits))
    interval = f" ({figure.low * 100:.0f}-{figure.high * 100:.0f})" if len(hits) >= FEWEST else ""
    return f"{figure.value * 100:.0f}{interval}"


def _examples(notes: Sequence[Note], found: Mapping[Place, Result]) -> list[str]:
    known = expected(notes)
    lines = []
    for note in notes:
        heard = found.get((note.set, note.name), {}).get("text")
        script = note.text.replace("+", "")
        if heard is not None:
            fault = judge(script, heard, known[note.set, note.name][1]).fault
            lines += [] if fault == "none" else [(fault != "conversion", f"{fault}: {script} — {heard}")]
    return [line for _, line in sorted(lines)[:20]]
