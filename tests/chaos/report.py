"""`python -m tests.chaos.report results.json ...`: the sums of chaos runs as the tables of docs/reliability.md.

Standard library and results.py only; prints, never writes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.chaos.results import rows, totals


def render(runs: list[dict[str, Any]]) -> str:
    """The tables as Markdown."""
    failed = [run["test"] for run in runs if not run["passed"]]
    sums = totals(runs)
    lines = [
        f"{len(runs)} tests in all, {len(failed)} failed{': ' + ', '.join(failed) if failed else ''}.",
        "",
        "| fault | times | consumer back: median | longest |",
        "| --- | --- | --- | --- |",
        *(f"| {kind} | {row.count} | {_seconds(row.middle)} | {_seconds(row.most)} |" for kind, row in rows(runs).items()),
        "",
        "| in all ledgers | |",
        "| --- | --- |",
        *(f"| {name.replace('_', ' ')} | {value:,} |" for name, value in sums.items()),
        "",
        "| run | seed | measured |",
        "| --- | --- | --- |",
        *(f"| {run['test']} ({run['command'] or 'short form'}) | {run['seed']} | {_measured(run)} |" for run in runs),
    ]
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _measured(run: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in run["measured"].items()) or "-"


def main() -> None:
    """Read the files named on the command line."""
    sys.stdout.write(render([run for name in sys.argv[1:] for run in json.loads(Path(name).read_text())]) + "\n")


if __name__ == "__main__":
    main()
