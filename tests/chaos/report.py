"""`python -m tests.chaos.report results.json ...`: the sums of chaos runs as the tables of docs/reliability.md.

Prints, never writes.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tests.chaos.results import Row, rows, totals


def render(runs: list[dict[str, Any]]) -> str:
    """The tables as Markdown. What failed is named and not counted: its books were not balanced."""
    failed = [f"{run['test']} (seed {run['seed']})" for run in runs if not run["passed"]]
    passed = [run for run in runs if run["passed"]]
    faults = rows(passed)
    simple = {kind: row for kind, row in faults.items() if " @ " not in kind and " + " not in kind}
    pairs = sum(row.count for kind, row in faults.items() if " + " in kind)
    named = ": " + ", ".join(failed) if failed else ""
    lines = [
        f"{len(passed)} tests passed, {len(failed)} failed{named}. Pairs of faults: {pairs}.",
        "",
        "| fault | times | consumer back: median | longest | next answer: longest |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {kind} | {row.count} | {_seconds(row.middle)} | {_seconds(row.most)} | {_seconds(row.served)} |"
            for kind, row in simple.items()
        ),
        "",
        *_matrix({kind: row for kind, row in faults.items() if " @ " in kind}),
        "| in all ledgers | |",
        "| --- | --- |",
        *(f"| {name.replace('_', ' ')} | {value:,} |" for name, value in totals(passed).items()),
        "",
        "| test | seed | measured |",
        "| --- | --- | --- |",
        *(f"| {run['test']} | {run['seed']} | {_measured(run)} |" for run in passed if run["measured"]),
        "",
        "Runs: " + "; ".join(sorted({f"`{run['command'] or 'short form'}`" for run in passed})),
    ]
    return "\n".join(lines)


def _matrix(cells: dict[str, Row]) -> list[str]:
    """Faults down, fail points across: how often, and the longest time until the consumer was back."""
    points = sorted({kind.partition(" @ ")[2] for kind in cells})
    kinds = sorted({kind.partition(" @ ")[0] for kind in cells})
    if not cells:
        return []
    head = [f"| fault at | {' | '.join(points)} |", f"| --- |{' --- |' * len(points)}"]
    return [
        *head,
        *(f"| {kind} | {' | '.join(_cell(cells.get(f'{kind} @ {point}')) for point in points)} |" for kind in kinds),
        "",
    ]


def _cell(row: Row | None) -> str:
    return f"{row.count} ({_seconds(row.most)})" if row else "-"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _measured(run: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in run["measured"].items()) or "-"


def main() -> None:
    """Read the files named on the command line."""
    sys.stdout.write(render([run for name in sys.argv[1:] for run in json.loads(Path(name).read_text())]) + "\n")


if __name__ == "__main__":
    main()
