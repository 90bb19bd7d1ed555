"""A run: every peer by turns, round after round, through every load; the results as one object that goes into JSON.

In each round the order moves on by one, so that no peer always follows the same one.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench import notes as voice
from bench.load import Load, Sample
from bench.notes import Note
from bench.process import PeerFailed
from bench.stage import Bench, Peer, Running, on_stage

LOADS: Final = (
    *("closed:1", "closed:2", "closed:4", "closed:8", "closed:16", "closed:32"),
    *("poisson:50", "poisson:75", "poisson:90"),
    *("burst:200", "long:2"),
)
WARM_UP_NOTES: Final = 4
KINDS: Final = ("closed", "poisson", "burst", "long")
LONGEST_SECONDS: Final = 300.0
"""A load that a slow peer would need longer for is left out, and the table names it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `seconds`: how long each closed loop and each Poisson load lasts."""

    rounds: int
    seconds: float
    loads: tuple[str, ...] = LOADS
    kind: str = "short"


@dataclass
class Results:
    """Per peer and load one summary for each round; why a peer is missing; how long each start took."""

    samples: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    starts: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, peer: str, load: str, summary: dict[str, Any]) -> None:
        """One more round."""
        self.samples.setdefault(peer, {}).setdefault(load, []).append(summary)


def loads(text: str) -> tuple[str, ...]:
    """Comma-separated loads.

    Raises `ValueError` for an unknown one, and for a share of a capacity that nothing before it measures.
    """
    names = tuple(text.split(","))
    for place, name in enumerate(names):
        kind, _, amount = name.partition(":")
        if kind not in KINDS or not amount.isdigit() or not int(amount):
            raise ValueError(
                f"no such load: {name!r}; one is a kind ({', '.join(KINDS)}) and a number, "
                f"such as {', '.join(LOADS[3:7])}"
            )
        if kind == "poisson" and not any(before.startswith("closed:") for before in names[:place]):
            raise ValueError(
                f"{name} is a share of the capacity: a closed loop, such as closed:8, has to come before it"
            )
    return names


def rotated(peers: Sequence[Peer], round_number: int) -> Iterable[Peer]:
    """The order of one round."""
    place = round_number % len(peers)
    return (*peers[place:], *peers[:place])


async def run(
    plan: Plan, peers: Mapping[str, Peer], bench: Bench, keep: Callable[[Results], None] = lambda _: None
) -> Results:
    """All rounds.

    A peer that fails to start is missing from then on, with its reason. `keep` is called after each round.
    """
    results = Results()
    made = voice.notes(plan.kind)
    for number in range(plan.rounds):
        first = number * len(made) // plan.rounds  # so that the rounds have different notes
        notes = [*made[first:], *made[:first]]
        for peer in rotated(list(peers.values()), number):
            if peer.name not in results.missing:
                try:
                    await _one(peer, plan, bench, notes, number, results)
                except (PeerFailed, OSError, TimeoutError) as error:
                    results.missing[peer.name] = str(error) or type(error).__name__
                    tell(f"{peer.name}: {results.missing[peer.name]}")
        keep(results)
    return results


async def _one(peer: Peer, plan: Plan, bench: Bench, notes: Sequence[Note], number: int, results: Results) -> None:
    """One peer in one round: start, warm up, every load, stop."""
    async with on_stage(peer, bench, notes[0]) as running:
        results.starts.setdefault(peer.name, []).append(
            {"ready": running.ready_seconds, "first_answer": running.first_seconds}
        )
        load = Load(running.client, running.process.pid, bench.broker_pid if peer.on_queue else None)
        await load.burst(notes, WARM_UP_NOTES)
        capacity = 0.0
        for name in plan.loads:
            if reason := _too_long(name, plan, capacity):
                results.left_out.setdefault(peer.name, {})[name] = reason
                continue
            summary = (await _loaded(name, load, plan, notes, number, capacity)).summary()
            if name.startswith("closed:"):
                capacity = max(capacity, summary["notes_per_second"])
            results.add(peer.name, name, summary)
            tell(f"round {number + 1}  {peer.name:18} {name:11} {_in_short(summary)}")
        _keep_memory(results, peer, running)


def _keep_memory(results: Results, peer: Peer, running: Running) -> None:
    results.starts[peer.name][-1]["peak_mib"] = max(
        summary[-1]["peak_mib"] for summary in results.samples[peer.name].values()
    )
    running.process.check()


def _too_long(name: str, plan: Plan, capacity: float) -> str | None:
    """Why a load is left out for a peer of this capacity in notes a second; 0: not known yet."""
    kind, _, amount = name.partition(":")
    needed = {"closed": plan.seconds, "burst": 0.0}.get(kind)
    if needed is None or not capacity or (needed := needed + int(amount) / capacity) <= LONGEST_SECONDS:
        return None
    return f"left out: at {capacity:.2f} notes/s it would take {needed:,.0f} s"


async def _loaded(name: str, load: Load, plan: Plan, notes: Sequence[Note], number: int, capacity: float) -> Sample:
    kind, _, amount = name.partition(":")
    if kind == "closed":
        return await load.closed(notes, int(amount), plan.seconds)
    if kind == "burst":
        return await load.burst(notes, int(amount))
    if kind == "long":
        return await load.among(voice.notes("long")[0], notes, int(amount))
    return await load.poisson(notes, capacity * int(amount) / 100, plan.seconds, seed=number)


def _in_short(summary: dict[str, Any]) -> str:
    failed = f"  {len(summary['failures'])} FAILED: {summary['failures'][0]}" if summary["failures"] else ""
    return (
        f"{summary['notes_per_second']:6.2f} notes/s  "
        f"p50 {summary['latency']['p50']:6.2f} s  p95 {summary['latency']['p95']:6.2f} s  "
        f"{summary['core_seconds_per_note']:5.2f} core s/note{failed}"
    )


def tell(line: str) -> None:
    """One line of progress on stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
