"""What `sttd size` prints: the plans as a table, what was assumed, the autoscaled day; or all of it as JSON.

Simulates what was asked for.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from sttd.sizing.autoscaler import Autoscaler
from sttd.sizing.profile import Profile
from sttd.sizing.search import P95, Machine, OutOfReach, Plan, Search
from sttd.sizing.traffic import Day

STEPS: Final = (0.5, 1.0, 2.0)
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Scaled:
    """A whole day with the autoscaler. Times in seconds; `consumer_hours`: what is paid for."""

    p50: float
    p95: float
    p99: float
    most: int
    consumer_hours: float
    always_hours: float


@dataclass(frozen=True, slots=True)
class Flood:
    """One caller sends so many notes at once: the p95 of the others in seconds, if requests name callers and if not."""

    notes: int
    p95_with_callers: float
    p95_without: float


@dataclass(frozen=True, slots=True)
class Report:
    """The answer: the plan that was asked for, its neighbours, and what they rest on."""

    plan: Plan
    table: list[Plan]
    core_seconds: float
    alone: float
    mean_seconds: float
    peak_share: float
    cores_per_consumer: int
    profile: Profile
    autoscaled: Scaled | None
    flood: Flood | None


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of the command. `mean`: seconds of a note."""

    p95: float
    mean: float
    autoscaler: Autoscaler | None
    flood: int | None = None

    def report(self, machine: Machine, day: Day, search: Search) -> Report:
        """Simulate it.

        Raises `OutOfReach` for the target itself; a tighter neighbour that is out of reach is left out.
        """
        plan = search.plan(day.notes, self.p95)
        targets = sorted({self.p95 / 2, self.p95, self.p95 * 2})
        table = [found for step in STEPS for target in targets if (found := _try(search, step * day.notes, target))]
        scaled = _scaled(search, plan, self.autoscaler) if self.autoscaler else None
        flood = (
            Flood(self.flood, *(search.beside_flood(plan, self.flood, keys=keys) for keys in (True, False)))
            if self.flood
            else None
        )
        return Report(
            plan=plan,
            table=table,
            core_seconds=search.core_seconds,
            alone=search.alone,
            mean_seconds=self.mean,
            peak_share=day.peak,
            cores_per_consumer=machine.cores,
            profile=machine.profile,
            autoscaled=scaled,
            flood=flood,
        )


def _try(search: Search, notes: float, target: float) -> Plan | None:
    try:
        return search.plan(notes, target)
    except OutOfReach:
        return None


def _scaled(search: Search, plan: Plan, autoscaler: Autoscaler) -> Scaled:
    run = search.scaled(autoscaler)
    p50, p95, p99 = (run.percentile(share) for share in (0.5, P95, 0.99))
    return Scaled(p50, p95, p99, run.most, run.there / HOUR, 24.0 * plan.consumers)


def as_json(report: Report) -> str:
    """Everything, for programs. Times in seconds."""
    told = asdict(report) | {"profile": report.profile.model_dump()}
    return json.dumps(told, indent=2, ensure_ascii=False)


def show(report: Report) -> None:
    """For people."""
    console = Console(highlight=False)
    plan, profile = report.plan, report.profile
    console.print(
        f"{plan.notes:,.0f} notes a day, 19 of 20 answered within {plan.p95_target:g} s in the busiest hour: "
        f"[bold]{plan.consumers} {_consumers(plan.consumers)}, {_cores(plan.cores)}[/bold]"
    )
    console.print(_table(report))
    console.print(
        f"Assumed: notes of {report.mean_seconds:g} s on average (3 to 60), {report.peak_share:.1%} of them in the "
        "busiest hour, "
        f"{_cores(report.cores_per_consumer)} and {plan.in_hand} notes in hand per consumer."
    )
    console.print(
        f"A note costs {report.core_seconds:.2f} core seconds on average; "
        f"19 of 20 take less than {report.alone:.1f} s when nothing waits."
    )
    console.print(f"Profile: {profile.name} ({profile.machine}; {profile.engine}; {profile.measured}).", markup=False)
    if profile.slots > 1:
        console.print(f"It was measured with {profile.slots} slots at work.")
    if report.autoscaled:
        _show_scaled(console, report.autoscaled)
    if report.flood:
        console.print(
            f"While one caller sends {report.flood.notes:,} notes at once, 19 of 20 of the others' are answered within "
            f"{report.flood.p95_with_callers:.1f} s where requests name their callers, "
            f"{report.flood.p95_without:.1f} s where not."
        )


def _table(report: Report) -> Table:
    table = Table(caption="p50, p95, p99: simulated seconds from sending to the answer", caption_justify="left")
    for column in ("notes a day", "p95 wanted", "consumers", "cores", "busy", "p50", "p95", "p99"):
        table.add_column(column, justify="right")
    for plans in _alike(report.table):
        plan = next((each for each in plans if each == report.plan), plans[0])
        asked = plan == report.plan
        table.add_row(
            f"{plan.notes:,.0f}",
            " to ".join(dict.fromkeys(f"{each.p95_target:g}" for each in (plans[0], plans[-1]))) + " s",
            f"{plan.consumers:,}",
            f"{plan.cores:,}",
            f"{plan.utilisation:.0%}",
            *(f"{seconds:.1f} s" for seconds in (plan.p50, plan.p95, plan.p99)),
            style="bold" if asked else None,
        )
    return table


def _alike(plans: Iterable[Plan]) -> list[list[Plan]]:
    """Together, for one row: targets that the same consumers reach with as many notes."""
    rows: dict[tuple[float, int], list[Plan]] = {}
    for plan in plans:
        rows.setdefault((plan.notes, plan.consumers), []).append(plan)
    return list(rows.values())


def _show_scaled(console: Console, scaled: Scaled) -> None:
    times = ", ".join(
        f"{name} {seconds:.1f} s" for name, seconds in (("p50", scaled.p50), ("p95", scaled.p95), ("p99", scaled.p99))
    )
    hours = f"{math.ceil(scaled.consumer_hours)} consumer-hours instead of {scaled.always_hours:.0f}"
    console.print(
        f"With the autoscaler, over the whole day: {times}, at most {scaled.most} {_consumers(scaled.most)}, {hours}."
    )


def _consumers(number: int) -> str:
    return "consumer" if number == 1 else "consumers"


def _cores(number: int) -> str:
    return f"{number} core" if number == 1 else f"{number:,} cores"
