"""Eight clients with 3 s notes: ours against the old service, the pool and a bare loop over our engine."""

from __future__ import annotations

from typing import Any, Final

from bench import figures
from bench.run import Plan, Results, run
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench
from bench.table import PEERS

LOAD: Final = "closed:8"
TAKEN: Final = ("ours", "ours-ctranslate2", "old-service", "pool", "bare")
WANTED: Final = (
    ("ours", "old-service", 3.3),
    ("ours", "pool", 1.9),
    ("ours", "bare", 0.95),
    ("ours-ctranslate2", "old-service", 1.7),
)


async def measure(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """Notes a second, by turns; also the ratio in core seconds a note, which a busy neighbour troubles less."""
    plan = Plan(knobs.rounds or 5, knobs.seconds or 30, (LOAD,))
    results = await run(plan, {name: PEERS[name] for name in TAKEN}, bench)
    rows = [_row(results, *pair) for pair in WANTED if {*pair[:2]} <= set(results.samples)]
    return {
        "verdict": {
            f"{row['ours']} / {row['theirs']}": promise(row["times_the_notes"]["median"], "at least", row["wanted"])
            for row in rows
        }
        | {"wrong texts and failed notes of all": promise(sum(map(_wrong, results.samples.values())), "at most", 0)},
        "ratios": [
            row | {name: figures.shown(row[name]) for name in ("times_the_notes", "times_less_core_time")}
            for row in rows
        ],
        "notes_per_second": {
            name: figures.shown(figures.spread(results.of(name, LOAD, "notes_per_second"))) for name in results.samples
        },
        "missing": results.missing,
    }


def _wrong(loads: dict[str, list[dict[str, Any]]]) -> int:
    """Of one peer."""
    return sum((one["wrong_texts"] or 0) + len(one["failures"]) for one in loads[LOAD])


def _row(results: Results, ours: str, theirs: str, wanted: float) -> dict[str, Any]:
    def of(peer: str, figure: str) -> list[float]:
        return results.of(peer, LOAD, figure)

    return {
        "ours": ours,
        "theirs": theirs,
        "wanted": wanted,
        "times_the_notes": figures.ratios(of(ours, "notes_per_second"), of(theirs, "notes_per_second")),
        "times_less_core_time": figures.ratios(of(theirs, "core_seconds_per_note"), of(ours, "core_seconds_per_note")),
    }
