"""docs/benchmarks/confidence.md from judged transcripts. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from bench.accuracy.page import percent
from bench.confidence import fit
from bench.confidence.judge import Judged
from sttd.consumer.engine.model.confidence import Calibration

SETS: Final[Mapping[str, Callable[[Judged], bool]]] = {
    "Russian fiction": lambda one: one.set == "ru-festvox",
    "Russian prompts": lambda one: one.set == "ru-prompts",
    "**Russian**": lambda one: one.language == "ru",
    "**English** (prompts)": lambda one: one.language == "en",
}
KINDS: Final[Mapping[str, tuple[Callable[..., fit.Rated], Callable[..., fit.Rated]]]] = {
    "words": (fit.words, fit.raw_words),
    "segments": (lambda notes: fit.segments(notes, with_words=False), fit.raw_segments),
    "segments, words asked for": (lambda notes: fit.segments(notes, with_words=True), fit.raw_segments),
}
"""Confidences of a kind, and the model's own figures."""


def page(
    notes: Sequence[Judged],
    in_code: Mapping[str, Calibration],
    fitted: Mapping[str, Calibration],
    head: Mapping[str, Any],
) -> str:
    """The whole page. `in_code`: by language, what the daemon has; `fitted`: what all notes give now."""
    languages = dict.fromkeys(one.language for one in notes)
    crossed, own = (
        [pair for code in languages for pair in fit.crossed([one for one in notes if one.language == code], own=own)]
        for own in (False, True)
    )
    lines = [*_head(notes, in_code == fitted, head), *_ERRORS]
    for kind in KINDS:
        lines += _errors(kind, crossed, own)
    for title, chosen in list(SETS.items())[2:]:
        lines += [
            "",
            f"## {title.replace('*', '')}: predicted → observed (number)",
            "",
            *_diagram([pair for pair in crossed if chosen(pair[0])]),
        ]
    return "\n".join([*lines, ""])


def _head(notes: Sequence[Judged], same: bool, head: Mapping[str, Any]) -> Iterator[str]:
    told = head["machine"]
    state = "they are what these figures give" if same else "other ones than these figures give"
    yield from (
        "# Confidence",
        "",
        "Expected share of right words against the share that is right, in percent.",
        "",
        f"- {head['date']}; {told['cpu']}; model {head['model']}, sha256 `{head['sha256'][:12]}`; {len(notes)} notes.",
        *([f"  {head['remark']}"] if head["remark"] else []),
        "- *ECE*: expected calibration error, ten bins; brackets: 95 % interval, notes drawn again 4,000 times. It is",
        "  never quite 0: chance alone makes some. *raw*: the model's own probability; of segments that of the average",
        "  token.",
        "- Each half of the notes is judged by the curves of the other half; *own half*: by its own.",
        f"- The daemon's curves are from both halves: {state}.",
        "",
        "To run it: `python -m bench confidence` (resumable).",
        "",
    )


_ERRORS: Final = (
    "| what | notes of | number | right | raw ECE | ECE | own half |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


def _errors(
    kind: str, crossed: Sequence[tuple[Judged, Calibration]], own: Sequence[tuple[Judged, Calibration]]
) -> Iterator[str]:
    rated, raw = KINDS[kind]
    for title, chosen in SETS.items():
        theirs, mine = ([pair for pair in pairs if chosen(pair[0])] for pairs in (crossed, own))
        found = rated(theirs)
        shares = [share for note in found for _, share in note]
        if not shares:
            continue
        cells = (kind, title, f"{len(shares):,}", f"{100 * sum(shares) / len(shares):.1f}")
        errors = [fit.error(one) for one in (raw([note for note, _ in theirs]), found, rated(mine))]
        yield f"| {' | '.join([*cells, *map(percent, errors)])} |"


def _diagram(pairs: Sequence[tuple[Judged, Calibration]]) -> Iterator[str]:
    """Ten bins; a cell: predicted, observed, how many."""
    yield f"| confidence | {' | '.join(KINDS)} |"
    yield f"| --- |{' --- |' * len(KINDS)}"
    columns = [fit.bins(rated(pairs)).sum(axis=0) for rated, _ in KINDS.values()]
    for number in range(fit.BINS):
        cells = [_cell(*column[number]) for column in columns]
        if any(cells):
            yield f"| {number / fit.BINS:.1f} to {(number + 1) / fit.BINS:.1f} | {' | '.join(cells)} |"


def _cell(count: float, predicted: float, observed: float) -> str:
    return f"{100 * predicted / count:.0f} → {100 * observed / count:.0f} ({count:,.0f})" if count else ""
