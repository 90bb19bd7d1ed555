"""Figures of chaos runs: collected in one run, added to a JSON file, summed over all runs in it.

The file is a list of runs; `report.py` renders the sum.
"""

import fcntl
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.support.ledger import Balance

COUNTED = tuple(
    "asked confirmed unknown replied parked dead poisoned queued lost duplicates joined unexplained_dead".split()
)


@dataclass
class Results:
    """One test's figures.

    `recoveries`: per fault, seconds until the consumer was back, None where no test waited for it. `served`: seconds
    until a request that was asked after the fault had its answer: with a backlog, and at the load's own pace.
    """

    test: str
    seed: int
    command: str
    recoveries: dict[str, list[float | None]] = field(default_factory=dict)
    served: dict[str, list[float]] = field(default_factory=dict)
    balance: dict[str, int] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    passed: bool = False
    said: list[str] = field(default_factory=list)  # for who watches the run, not for the file

    def add(self, kind: str, back: float | None, served: float | None = None) -> None:
        """Count one fault of this kind."""
        self.recoveries.setdefault(kind, []).append(None if back is None else round(back, 3))
        if served is not None:
            self.served.setdefault(kind, []).append(round(served, 3))

    def keep(self, balance: Balance) -> None:
        """Take over the ledger's counts."""
        self.balance = {name: getattr(balance, name) for name in COUNTED}


def append(path: Path, results: Results) -> None:
    """Add one test's figures to the file; two runs may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        figures = asdict(results)
        del figures["said"]
        runs = [*(json.loads(text) if text else []), figures]
        file.seek(0)
        file.truncate()
        file.write(json.dumps(runs, indent=1))


@dataclass
class Row:
    """One kind of fault over all runs. Times in seconds."""

    count: int
    middle: float | None
    most: float | None
    served: float | None


def rows(runs: Iterable[dict[str, Any]]) -> dict[str, Row]:
    """Sum the faults of all runs, by kind."""
    times: dict[str, list[float | None]] = {}
    served: dict[str, list[float]] = {}
    for run in runs:
        for kind, seconds in run["recoveries"].items():
            times.setdefault(kind, []).extend(seconds)
            served.setdefault(kind, []).extend(run.get("served", {}).get(kind, []))
    found = {}
    for kind in sorted(times):
        known = [value for value in times[kind] if value is not None]
        found[kind] = Row(
            len(times[kind]),
            median(known) if known else None,
            max(known, default=None),
            max(served[kind], default=None),
        )
    return found


def totals(runs: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Sum the ledgers of all runs."""
    sums = dict.fromkeys(COUNTED, 0)
    for run in runs:
        for name, value in run["balance"].items():
            sums[name] += value
    return sums
