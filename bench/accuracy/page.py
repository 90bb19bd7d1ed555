"""The figures as a page in Markdown. Pure: answers by mode in, text out."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bench.accuracy import scores
from bench.accuracy.modes import JOINED, JOINED_SECONDS, MODES, SHARES
from bench.accuracy.results import Place
from bench.accuracy.scores import Scored
from sttd.commands.bench import paired
from sttd.commands.bench.paired import Figure

By = Mapping[str, Mapping[Place, Scored]]
"""Answers by mode and note."""

SPEAKERS: Final = {
    "ru-festvox": "Russian, a man reads fiction (`festvox-ru`)",
    "ru-prompts": "Russian, a woman reads prompts of a telephone system (`asterisk-core-sounds-ru`)",
    "en-prompts": "English, a woman reads the same prompts (`asterisk-core-sounds-en`)",
}
RUSSIAN: Final = ("ru-festvox", "ru-prompts")
COMPARED: Final = ("default",)
FEWEST: Final = 20
"""A mode with fewer answers in a set has no line there: its figures would be chance."""

HOW_TO_READ: Final = f"""\
**How to read it.** Words are compared without case and punctuation, `ё` as `е`, numbers spelt on both sides; a hyphen
parts words. Brackets: 95 % interval, by drawing utterances again {paired.ROUNDS:,} times. *Difference*: points of word
error rate more (+) or less (-) than stock on the same utterances, drawn in pairs; an interval that holds 0 shows no
difference. *Core s*: processor time a note, one thread, and stock's on the same notes. Beam 5, the language given, the
ladder of temperatures on, except where a mode has other options. Above temperature 0 ctranslate2 draws tokens: its seed
is fixed for each process, but which notes a process gets is not, so a few texts differ from run to run."""

LIMITS: Final = """\
**What it does not show.** Each set is one person, recorded well, reading a script. One or two speakers prove nothing
about others, nor about spontaneous speech or noise. A script writes numbers in the case of the sentence and a digit is
spelt in the nominative, so the rates are a little too high, alike for all modes. Sets are never mixed in one figure."""

RULE: Final = """\
Over at least 700 Russian utterances of all lengths where short contexts are used: the difference to stock is at most
+0.3 points in the mean, its interval ends below +1.0, and no class of length is above +1.5 in the mean. English is not
in the rule; it is below."""

COLUMNS: Final = (
    "mode",
    "utterances, words",
    "word errors, %",
    "stock's, %",
    "difference, points",
    "character errors, %",
    "core s",
    "stock's",
    "same words as stock",
)


def page(by: By, head: Mapping[str, Any]) -> str:
    """The whole page. `head`: machine, model, voices, date, engines and remark in words."""
    parts = [*_head(head), *_modes(by, head["engines"]), *_pooled(by)]
    for name, what in SPEAKERS.items():
        parts += [f"## {name}", "", f"{what}.", "", *_table(by, name), *_classes(by, name)]
    return "\n".join([*parts, *_long(by)]).rstrip() + "\n"


def _head(head: Mapping[str, Any]) -> Iterator[str]:
    machine = head["machine"]
    cores = f"{machine['cores_used']} of {machine['cores_there']} cores"
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield from (
        "# Accuracy",
        "",
        "Word errors of each way to run the engine, on recorded human voices, with the real model.",
        "",
        f"- {head['date']}; {cores} of {machine['cpu']} ({', '.join(machine['flags'])}), {machine['system']}",
        f"- Python {machine['python']}, {packages}",
        f"- Model: {head['model']}, sha256 of `model.bin` `{head['sha256']}`",
        *textwrap.wrap(f"- Voices: {', '.join(head['voices'])}", 120, subsequent_indent="  ", break_on_hyphens=False),
        *([f"- {head['remark']}"] if head["remark"] else []),
        "",
        HOW_TO_READ,
        "",
        LIMITS,
        "",
        "To run it: `python -m bench accuracy` (hours; it goes on where it stopped).",
        "",
    )


def _modes(by: By, engines: Mapping[str, str]) -> Iterator[str]:
    yield from ("| mode | what | engine | answers |", "| --- | --- | --- | --- |")
    for name, mode in MODES.items():
        answers = len(by.get(name, {}))
        yield f"| `{name}` | {mode.title} | {engines.get(name, '')} | {answers or '**not run**'} |"
    yield ""


def _pooled(by: By) -> Iterator[str]:
    """What decides on the short contexts as a default: both Russian speakers together."""
    columns = [_pairs(by, "default", "stock", name) for name in RUSSIAN]
    pairs = [pair for ours, theirs in columns for pair in zip(ours, theirs, strict=True)]
    if not pairs:
        return
    pairs.sort(key=lambda pair: pair[0].note.name)
    half = len(pairs) // 2
    yield from ("## Short contexts: the rule for the default", "", RULE, "")
    yield from ("| Russian, both speakers | utterances, words | `stock`, % | difference, points |", "|---|---|---|---|")
    parts = {"all": pairs, "one half of the names": pairs[:half], "the other half": pairs[half:]}
    for low, high in scores.CLASSES:
        parts[f"{low} to {high} s"] = [pair for pair in pairs if low <= pair[0].seconds < high]
    yield from (_pooled_line(name, some) for name, some in parts.items() if some)
    yield ""


def _pooled_line(name: str, pairs: Sequence[tuple[Scored, Scored]]) -> str:
    row = scores.row([one for one, _ in pairs], [other for _, other in pairs])
    stock = f"{100 * row['stock_word_errors']:.1f}"
    return f"| {name} | {row['utterances']}, {row['words']:,} | {stock} | {signed(row['difference'])} |"


def _table(by: By, name: str) -> Iterator[str]:
    """A mode a line."""
    yield from (f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}")
    for mode in MODES:
        ours, theirs = _pairs(by, mode, "stock", name)
        if len(ours) >= FEWEST or (ours and name.endswith(JOINED)):
            yield _line(mode, scores.row(ours, theirs))
    yield ""
    yield from _remarks(by, name)


def _line(mode: str, row: Mapping[str, Any]) -> str:
    difference = "" if mode == "stock" else signed(row["difference"])
    cells = (
        f"`{mode}`",
        f"{row['utterances']}, {row['words']:,}",
        percent(row["word_errors"]),
        f"{100 * row['stock_word_errors']:.1f}",
        difference,
        percent(row["character_errors"]),
        f"{row['core_seconds']:.2f}",
        f"{row['stock_core_seconds']:.2f}",
        f"{100 * row['same_words'] / row['utterances']:.0f} %",
    )
    return f"| {' | '.join(cells)} |"


def _remarks(by: By, name: str) -> Iterator[str]:
    ours, theirs = _pairs(by, "default", "stock", name)
    if ours:
        row = scores.row(ours, theirs)
        told = ", ".join(f"{reason} {times}" for reason, times in sorted(row["reruns"].items()))
        yield f"`default`: {sum(row['reruns'].values())} windows were computed again in full ({told or 'none'})."
    ours, theirs = _pairs(by, "auto", "stock", name)
    if ours:
        row = scores.row(ours, theirs)
        yield f"`auto`: the language was right in {row['language_right']} of {row['utterances']}."
    yield ""


def _classes(by: By, name: str) -> Iterator[str]:
    """By length of the audio: stock, and those compared, on the notes that all of them have."""
    there = [mode for mode in COMPARED if any(place[0] == name for place in by.get(mode, {}))]
    common = _common(by, ("stock", *there), name)
    if not there or not common:
        return
    heads = ["audio, s", "utterances, words", "`stock`, %", "core s"]
    for mode in there:
        heads += [f"`{mode}`, %", "difference, points", "core s"]
    yield from (
        f"By length of the audio up to {scores.CLASSES[-1][1]} s, of the {len(common)} utterances that all have:",
        "",
    )
    yield from (f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}")
    for low, high in scores.CLASSES:
        columns = [scores.in_class((by[mode][place] for place in common), low, high) for mode in ("stock", *there)]
        if columns[0]:
            yield f"| {low} to {high} | {' | '.join(_class_cells(columns))} |"
    yield ""


def _class_cells(columns: Sequence[list[Scored]]) -> Iterator[str]:
    stock = scores.row(columns[0], columns[0])
    yield f"{stock['utterances']}, {stock['words']:,}"
    yield from (percent(stock["word_errors"]), f"{stock['core_seconds']:.2f}")
    for column in columns[1:]:
        row = scores.row(column, columns[0])
        yield from (f"{100 * row['word_errors'].value:.1f}", signed(row["difference"]), f"{row['core_seconds']:.2f}")


def _long(by: By) -> Iterator[str]:
    """Long notes, where windows are cut at silences or not."""
    if not any(place[0].endswith(JOINED) for place in by.get("stock", {})):
        yield from ("## Long audio", "", "Not run yet.")
        return
    yield from ("## Long audio", "")
    yield f"Consecutive utterances of one set with pauses between them, {JOINED_SECONDS:.0f} s and a little more."
    yield from ("`default` cuts windows at silences, `sequential` transcribes it in one go.", "")
    for name in SHARES:
        yield from (f"### {name}, joined", "", *_table(by, f"{name}{JOINED}"))


def _pairs(by: By, mode: str, base: str, name: str) -> tuple[list[Scored], list[Scored]]:
    common = _common(by, (mode, base), name)
    return [by[mode][place] for place in common], [by[base][place] for place in common]


def _common(by: By, modes: Sequence[str], name: str) -> list[Place]:
    """The notes of one set that all these modes have answered."""
    first, *others = (by.get(mode, {}) for mode in modes)
    return [place for place in first if place[0] == name and all(place in other for other in others)]


def percent(figure: Figure) -> str:
    """`15.2 (14.1-16.3)`."""
    return f"{100 * figure.value:.1f} ({100 * figure.low:.1f}-{100 * figure.high:.1f})"


def signed(figure: Figure) -> str:
    """`+0.3 (-0.2 to +0.8)`."""
    return f"{100 * figure.value:+.1f} ({100 * figure.low:+.1f} to {100 * figure.high:+.1f})"
