"""Results as pages in Markdown.

Pure: what was measured in, text out. A peer that could not run is in the table with its reason.
"""

import itertools
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final

from bench import figures
from bench.notes import SETS
from bench.table import FULL, OLD, OURS, PEERS

BASELINES: Final = tuple(name for name in PEERS if name not in {OURS, FULL})
"""What ours is put in relation to, round by round."""

TARGETS: Final = ((OURS, OLD, "closed:8", 4.0), (FULL, OLD, "closed:8", 1.5))
"""Ours, theirs, load: at least so many times the notes a second."""

CURVE: Final = "curve"
WIDEST: Final = 120


def stem(command: str, found: dict[str, Any]) -> str:
    """The name of a result's file: every scenario has its own."""
    return f"scenario-{found['scenario']}" if "scenario" in found else {"headline": "results"}.get(command, command)


def pages(command: str, found: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Pages by name. Of the scenarios one for all, and one for the curve."""
    if command != "scenario":
        title = "Results" if command == "headline" else "All loads"
        return {stem(command, one): _page(title, one, _compared(one)) for one in found}
    curves = [_page("Core seconds of a note by its length", one, _curve(one)) for one in found if CURVE in one]
    scenarios = "\n".join(["# Scenarios", "", *_scenarios(found)]).rstrip() + "\n"
    return dict.fromkeys([CURVE] * bool(curves), "".join(curves)) | {"scenarios": scenarios}


def _page(title: str, found: dict[str, Any], body: Iterable[str]) -> str:
    return "\n".join([f"# {title}", "", *_machine(found), "", *body]).rstrip() + "\n"


def _scenarios(found: Sequence[dict[str, Any]]) -> Iterable[str]:
    """Promises and what was measured; all else is in the JSON files."""
    yield "`python -m bench scenario NAME` writes the part NAME. What each measures: the first lines of its module in"
    yield "`bench/scenarios/`."
    last: object = None
    for one in found:
        machine = [one["model"], {name: value for name, value in one["machine"].items() if name != "load"}]
        again = f"{one['date']}; the same machine. Load before the run: {', '.join(map(str, one['machine']['load']))}."
        yield from ["", f"## {one['scenario']}", "", *([again] if machine == last else _machine(one)), ""]
        last = machine
        rows = [{"promise": promise, **told} for promise, told in one["verdict"].items()]
        yield from _rows([row | {"kept": "yes" if row["kept"] else "**no**"} for row in rows])


def _curve(found: dict[str, Any]) -> Iterable[str]:
    yield f"Processor time, median of {found['notes_of_each_length']} notes of each length; in brackets the lowest and"
    yield "the highest. One note at a time on one core with one thread. Word errors: of all these notes together."
    yield from ["", "![the same as a plot](curve.svg)", ""]
    lengths = next(iter(found[CURVE].values()))
    yield "| peer | " + " | ".join(f"{seconds} s" for seconds in lengths) + " | word errors, % |"
    yield "| --- |" + " --- |" * (len(lengths) + 1)
    for name, row in found[CURVE].items():
        cells = [figures.shown(figures.spread(values)) for values in row.values()]
        yield f"| {found['titles'][name]} | {' | '.join(cells)} | {found['word_errors'][name]:.1f} |"
    yield from ["", *(f"- {reason}" for reason in found["missing"])]


def _machine(found: dict[str, Any]) -> Iterable[str]:
    told = found["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in told["packages"].items())
    yield from _wrapped(
        f"{found['date']}; {told['cores_used']} of {told['cores_there']} cores of {told['cpu']} "
        f"({', '.join([*told['flags'], *told['caps']])}), {told['memory_gib']} GiB, {told['system']}, "
        f"Python {told['python']}; {packages}. "
        f"Load before the run: {', '.join(map(str, told['load']))}. Model: {found['model']}."
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDEST, break_long_words=False, break_on_hyphens=False)


def _compared(found: dict[str, Any]) -> Iterable[str]:
    plan = found["plan"]
    yield from _wrapped(
        f"{plan['rounds']} rounds, each peer once in each, {plan['seconds']:g} s a load, {SETS[plan['notes']]}, "
        f"beam {plan['beam']}. Median of the rounds; in brackets the lowest and the highest."
    )
    if targets := list(_targets(found)):
        yield from ["", "## Targets", "", *_rows(targets)]
    for load in plan["loads"]:
        yield from ["", f"## {_load_title(load)}", "", *_load_table(found, load)]
    yield from ["", "## In relation", "", *_relations(found)]
    yield from ["", "## Starts and memory", "", *_starts(found)]


def _targets(found: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for mine, peer, load, wanted in TARGETS:
        one, other = (_of(found["samples"].get(name, {}).get(load, []), "notes_per_second") for name in (mine, peer))
        if one and other:
            ratio = figures.ratios(one, other)
            kept = "yes" if ratio["median"] >= wanted else "**no**"
            cells = (f"{mine} / {peer}, {load}", f"at least {wanted:g} times", figures.shown(ratio), kept)
            yield dict(zip(("notes/s", "wanted", "measured", "kept"), cells, strict=True))


def _load_title(load: str) -> str:
    kind, _, amount = load.partition(":")
    return {
        "closed": f"{amount} client{'s' if amount != '1' else ''}, each asking anew at once",
        "poisson": f"Random arrivals at {amount} % of each peer's own capacity",
        "burst": f"{amount} notes at once",
        "long": f"A 10-minute file, and {amount} clients with short notes until it is done",
    }[kind]


def _load_table(found: dict[str, Any], load: str) -> Iterable[str]:
    answered = {peer: _errors(loads[load]) for peer, loads in found["samples"].items() if load in loads}
    common = set.intersection(*map(set, answered.values())) if answered else set()
    words = sum(next(iter(answered.values()))[note][1] for note in common) if common else 0
    yield f"Word errors: of the {len(common)} notes, {words} words, that all have answered; alike within a few points."
    yield ""
    yield "| peer | notes/s | p50 s | p95 s | core s/note | word errors, % | peak MiB | failed |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for peer, title in found["titles"].items():
        rounds = found["samples"].get(peer, {}).get(load)
        why = found["missing"].get(peer) or found["left_out"].get(peer, {}).get(load, "not run")
        wrong = sum(answered[peer][note][0] for note in common) if rounds else 0
        rate = f"{100 * wrong / words:.1f}" if words else "-"
        yield f"| {title} | {_row(rounds, rate)} |" if rounds else f"| {title} | {why} | | | | | | |"
    files = {peer: _of(loads[load], "file_seconds") for peer, loads in found["samples"].items() if load in loads}
    if any(values for values in files.values()):
        yield ""
        yield "The file took, in seconds: " + "; ".join(
            f"{peer} {figures.shown(figures.spread(took), 1)}" for peer, took in files.items()
        )


def _errors(rounds: Sequence[dict[str, Any]]) -> dict[str, list[int]]:
    """Word errors and words of each note, the first time that it was answered."""
    return {name: found for one in reversed(rounds) for name, found in one["errors"].items()}


def _row(rounds: Sequence[dict[str, Any]], word_errors: str) -> str:
    cells = [
        figures.shown(figures.spread(_of(rounds, "notes_per_second"))),
        *(figures.shown(figures.spread(one["latency"][share] or 0.0 for one in rounds)) for share in ("p50", "p95")),
        figures.shown(figures.spread(_of(rounds, "core_seconds_per_note")), 2),
        word_errors,
        figures.shown(figures.spread(_of(rounds, "peak_mib")), 0),
        str(sum(len(one["failures"]) for one in rounds)),
    ]
    return " | ".join(cells)


def _of(rounds: Iterable[dict[str, Any]], figure: str) -> list[float]:
    return [one[figure] for one in rounds if one[figure] is not None]


def _relations(found: dict[str, Any]) -> Iterable[str]:
    """Ratios within rounds: both ran on the same machine minutes apart."""
    yield "| notes/s | " + " | ".join(found["plan"]["loads"]) + " |"
    yield "| --- |" + " --- |" * len(found["plan"]["loads"])
    for mine, peer in itertools.product((OURS, FULL), BASELINES):
        if {mine, peer} <= found["samples"].keys():
            cells = [_ratio(found, mine, peer, load) for load in found["plan"]["loads"]]
            yield f"| {mine} / {peer} | " + " | ".join(cells) + " |"


def _ratio(found: dict[str, Any], mine: str, peer: str, load: str) -> str:
    one, other = (_of(found["samples"][name].get(load, []), "notes_per_second") for name in (mine, peer))
    return figures.shown(figures.ratios(one, other))


def _starts(found: dict[str, Any]) -> Iterable[str]:
    yield "| peer | ready s | first answer s | peak MiB of all its processes |"
    yield "| --- | --- | --- | --- |"
    for peer, starts in found["starts"].items():
        cells = [
            figures.shown(figures.spread(_of(starts, name)), digits)
            for name, digits in (("ready", 2), ("first_answer", 2))
        ]
        peak = figures.shown(figures.spread([start["peak_mib"] for start in starts if "peak_mib" in start]), 0)
        yield f"| {found['titles'][peer]} | {' | '.join(cells)} | {peak} |"


def _rows(rows: list[dict[str, Any]]) -> Iterable[str]:
    columns = list(rows[0])
    yield "| " + " | ".join(column.replace("_", " ") for column in columns) + " |"
    yield "| " + " | ".join("---" for _ in columns) + " |"
    for row in rows:
        yield "| " + " | ".join(_plain(row.get(column)) for column in columns) + " |"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    return "-" if value is None else str(value).replace("|", "\\|")
