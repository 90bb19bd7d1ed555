"""Results as pages in Markdown.

Pure: what was measured in, text out. A peer that could not run is in the table with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from bench import figures

RESULTS: Final = {"run": "results", "quick": "results", "ladder": "ladder"}
BASELINES: Final = ("old-service", "pool", "bare")
"""What ours is put in relation to, round by round."""


def parts(command: str, found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """One command's results by the file that each goes into: every scenario has its own."""
    if command != "scenario":
        return {RESULTS[command]: found}
    head = {name: value for name, value in found.items() if name != "scenarios"}
    return {f"scenario-{name}": head | {"scenario": name, **result} for name, result in found["scenarios"].items()}


def page(stem: str, found: dict[str, Any]) -> str:
    """The whole page."""
    if "samples" in found:
        body = [*_compared(found)]
    else:
        body = [*_anything({key: value for key, value in found.items() if key not in {"machine", "model"}})]
    return "\n".join([f"# {stem.replace('-', ' ').capitalize()}", "", *_machine(found), "", *body]).rstrip() + "\n"


def _machine(found: dict[str, Any]) -> Iterable[str]:
    told = found["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in told["packages"].items())
    yield (
        f"{told['cores_used']} of {told['cores_there']} cores of {told['cpu']} ({', '.join(told['flags'])}), "
        f"{told['memory_gib']} GiB, {told['system']}, Python {told['python']}; {packages}. "
        f"Load before the run: {', '.join(map(str, told['load']))}. {_model(found['model'])}"
    )


def _model(name: str | None) -> str:
    """None: the page's rows name theirs."""
    if name is None:
        return ""
    return (
        "Model: the trained demo model."
        if name == "demo"
        else f"Model: {name}'s shape with random weights: its times hold, its texts mean nothing."
    )


def _compared(found: dict[str, Any]) -> Iterable[str]:
    plan = found["plan"]
    yield (
        f"{plan['rounds']} rounds, each peer once in each, {plan['seconds']:g} s a load, "
        f"{plan['notes']} notes, beam {plan['beam']}. "
        "Median of the rounds; in brackets the lowest and the highest."
    )
    for load in plan["loads"]:
        yield from ["", f"## {_load_title(load)}", "", *_load_table(found, load)]
    yield from ["", "## In relation", "", *_relations(found)]
    yield from ["", "## Starts and memory", "", *_starts(found)]
    yield from ["", "## Stages of a note, in seconds", "", *_stages(found)]


def _load_title(load: str) -> str:
    kind, _, amount = load.partition(":")
    return {
        "closed": f"{amount} client{'s' if amount != '1' else ''}, each asking again at once",
        "poisson": f"Random arrivals at {amount} % of each peer's own capacity",
        "burst": f"{amount} notes at once",
        "long": f"A 10-minute file, and {amount} clients with short notes until it is done",
    }[kind]


def _load_table(found: dict[str, Any], load: str) -> Iterable[str]:
    yield "| peer | notes/s | audio s/s | p50 s | p95 s | p99 s | core s/note | peak MiB | texts |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for peer, title in found["titles"].items():
        rounds = found["samples"].get(peer, {}).get(load)
        why = found["missing"].get(peer) or found["left_out"].get(peer, {}).get(load, "not run")
        yield f"| {title} | {_row(rounds)} |" if rounds else f"| {title} | {why} | | | | | | | |"
    files = {peer: _of(loads[load], "file_seconds") for peer, loads in found["samples"].items() if load in loads}
    if any(values for values in files.values()):
        yield ""
        yield "The file took, in seconds: " + "; ".join(
            f"{peer} {figures.shown(figures.spread(took), 1)}" for peer, took in files.items()
        )


def _row(rounds: Sequence[dict[str, Any]]) -> str:
    cells = [
        figures.shown(figures.spread(_of(rounds, "notes_per_second"))),
        figures.shown(figures.spread(_of(rounds, "audio_seconds_per_second")), 1),
        *(
            figures.shown(figures.spread(one["latency"][share] or 0.0 for one in rounds))
            for share in ("p50", "p95", "p99")
        ),
        figures.shown(figures.spread(_of(rounds, "core_seconds_per_note")), 3),
        figures.shown(figures.spread(_of(rounds, "peak_mib")), 0),
        _texts(rounds),
    ]
    return " | ".join(cells)


def _of(rounds: Iterable[dict[str, Any]], figure: str) -> list[float]:
    return [one[figure] for one in rounds if one[figure] is not None]


def _texts(rounds: Sequence[dict[str, Any]]) -> str:
    failed = sum(len(one["failures"]) for one in rounds)
    told = [one["wrong_texts"] for one in rounds]
    words = "not checked" if told[0] is None else f"{sum(told)} wrong" if sum(told) else "all right"
    return f"{words}, {failed} failed" if failed else words


def _relations(found: dict[str, Any]) -> Iterable[str]:
    """Ratios within rounds: both ran on the same machine minutes apart."""
    yield "| notes/s | " + " | ".join(found["plan"]["loads"]) + " |"
    yield "| --- |" + " --- |" * len(found["plan"]["loads"])
    for mine, peer in _pairs(list(found["samples"])):
        cells = [_ratio(found, mine, peer, load) for load in found["plan"]["loads"]]
        yield f"| {mine} / {peer} | " + " | ".join(cells) + " |"


def _pairs(peers: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Ours over each baseline that ran; of a ladder each step over the one before it and over the first."""
    yield from (
        (mine, peer) for mine in ("ours", "ours-ctranslate2") for peer in BASELINES if {mine, peer} <= set(peers)
    )
    if not (steps := sorted(peer for peer in peers if peer[0].isdigit())):
        return
    yield from zip(steps[1:], steps[:-1], strict=True)
    yield from ((step, steps[0]) for step in steps[2:])


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


def _stages(found: dict[str, Any]) -> Iterable[str]:
    """Of those peers that report it: p50 / p95, medians of the rounds. `rest`: beyond the peer's own times."""
    stages = ("queued", "decode", "transcribe", "rest")
    yield "| peer | load | " + " | ".join(stages) + " |"
    yield "| --- | --- |" + " --- |" * len(stages)
    for peer, loads in found["samples"].items():
        for load, rounds in loads.items():
            if rounds[0]["stages"]:
                yield f"| {peer} | {load} | " + " | ".join(_stage(rounds, stage) for stage in stages) + " |"


def _stage(rounds: Sequence[dict[str, Any]], stage: str) -> str:
    told = [one["stages"][stage] for one in rounds if stage in one["stages"]]
    middles = [figures.spread(one[share] for one in told)["median"] for share in ("p50", "p95")]
    return " / ".join(f"{value:.3f}" for value in middles) if told else "-"


def _anything(value: Any, depth: int = 2) -> Iterable[str]:
    """Nested results as headings, tables and lists."""
    for name, inner in value.items():
        heading = f"{'#' * min(depth, 4)} {str(name).replace('_', ' ')}"
        if name == "verdict":
            yield from _rows([{"promise": promise, **told} for promise, told in inner.items()])
            continue
        if isinstance(inner, dict) and any(isinstance(deeper, dict | list) for deeper in inner.values()):
            yield from ["", heading, "", *_anything(inner, depth + 1)]
        elif isinstance(inner, dict):
            yield from [
                "",
                heading,
                "",
                *(f"- {key.replace('_', ' ')}: {_plain(figure)}" for key, figure in inner.items()),
            ]
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
            yield from ["", heading, "", *_rows(inner)]
        elif isinstance(inner, list) and inner and isinstance(inner[0], str):
            yield from ["", heading, "", *(f"- {line}" for line in inner)]
        else:
            yield f"- {str(name).replace('_', ' ')}: {_plain(inner)}"


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
