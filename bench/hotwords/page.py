"""docs/benchmarks/hotwords.md from the answers. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from bench.accuracy.modes import Note
from bench.accuracy.results import Place, Result
from bench.hotwords.score import Heard, Terms
from sttd.commands.bench.paired import difference, share

TITLES: Final = {"ru-festvox": "fiction", "ru-prompts": "prompts"}


@dataclass(frozen=True, slots=True)
class Compared:
    """One note, without the list and with it."""

    note: Note
    without: Heard
    with_list: Heard
    core_seconds: tuple[float, float]
    again: Sequence[str]

    @classmethod
    def of(
        cls, notes: Sequence[Note], without: Mapping[Place, Result], with_list: Mapping[Place, Result], terms: Terms
    ) -> list[Self]:
        """Those that were transcribed both ways."""
        both = [note for note in notes if (note.set, note.name) in without.keys() & with_list.keys()]
        return [
            cls(
                note,
                terms.heard(note.text, before["text"]),
                terms.heard(note.text, after["text"]),
                (before["core_seconds"], after["core_seconds"]),
                after["without_hotwords"],
            )
            for note in both
            for before, after in [(without[note.set, note.name], with_list[note.set, note.name])]
        ]


def page(compared: Sequence[Compared], head: Mapping[str, Any]) -> str:
    """The whole page."""
    rows = [
        _row(f"{title}, {'with' if listed else 'without'}", own)
        for name, title in TITLES.items()
        for listed in (True, False)
        if (own := [one for one in compared if one.note.set == name and bool(one.without.terms) is listed])
    ]
    return "\n".join(
        [*_head(head), f"| {' | '.join(_COLUMNS)} |", "| --- " * len(_COLUMNS) + "|", *rows, "", _again(compared), ""]
    )


def _head(head: Mapping[str, Any]) -> Iterator[str]:
    yield from (
        "# The operator's words",
        "",
        f"Word errors without hotwords, and with {head['listed']} names and terms (`bench/hotwords/terms.txt`).",
        "",
        f"- {head['date']}; {head['machine']['cpu']}; {head['model']} `{head['sha256'][:12]}`. {head['remark']}",
        "- Rows *with* are notes in which a word of the list is said, rows *without* all others. *listed*: words on",
        "  the list, in any case. *others*: word errors of the rest. Brackets: change in points, 95 % interval.",
        "",
    )


_COLUMNS: Final = (
    "notes",
    "number",
    "listed words",
    "wrong without, with, %",
    "others wrong without, with, %",
    "core s without, with",
)


def _row(title: str, own: Sequence[Compared]) -> str:
    terms = sum(one.without.terms for one in own)
    core = [sum(one.core_seconds[side] for one in own) / len(own) for side in (0, 1)]
    cells = [
        title,
        f"{len(own)}",
        f"{terms}",
        _errors(own, "terms", "term_errors") if terms else "",
        _errors(own, "others", "other_errors"),
        f"{core[0]:.2f}, {core[1]:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _errors(own: Sequence[Compared], size: str, errors: str) -> str:
    """Shares without and with the list, and the difference with its interval."""
    sizes = [getattr(one.without, size) for one in own]
    before, after = ([getattr(getattr(one, side), errors) for one in own] for side in ("without", "with_list"))
    change = difference(after, before, sizes)
    points = f"{change.low * 100:+.1f} to {change.high * 100:+.1f}"
    return f"{_percent(before, sizes)}, {_percent(after, sizes)} ({points})"


def _percent(errors: Sequence[int], sizes: Sequence[int]) -> str:
    return f"{share(errors, sizes).value * 100:.1f}"


def _again(compared: Sequence[Compared]) -> str:
    reasons = Counter(reason for one in compared for reason in one.again)
    told = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items())) or "none"
    return f"Windows that were decoded again without the list: {reasons.total()} ({told})."
