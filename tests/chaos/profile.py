"""How much chaos: the short form by default, more by environment variables (`make chaos KILLS=100 FAULTS=10`).

Read once, by conftest.py.
"""

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Profile:
    """One run. `seed` decides the load, the moments of the faults and the fuzz, but not the machine's own timing."""

    seed: int
    kills: int  # SIGKILLs of the daemon at random times
    terms: int  # SIGTERMs under load
    faults: int  # of each quick broker and network fault
    slow_faults: int  # of each fault that takes heartbeats to notice, about a minute each; 0: one each of two kinds
    points: int  # SIGKILLs at each fail point
    matrix: int  # of each fault at each fail point
    properties: int  # messages with fuzzed AMQP properties
    bodies: int  # fuzzed JSON bodies
    rate: float  # requests per second
    hold: float  # s that a node of a cluster stays stopped or cut off
    poll: int  # ms between two looks of a node of a cluster at the others
    results: Path | None  # JSON file to which this run's figures are added
    command: str

    @classmethod
    def from_environment(cls) -> Self:
        """Read CHAOS_*; what is absent or empty has the short form's value."""
        given = {name: value for name, value in os.environ.items() if name.startswith("CHAOS_") and value}

        def number(name: str, short: int) -> int:
            return int(given.get(f"CHAOS_{name}", short))

        results = given.get("CHAOS_RESULTS")
        return cls(
            seed=number("SEED", random.SystemRandom().randrange(10**6)),
            kills=number("KILLS", 6),
            terms=number("TERMS", 3),
            faults=number("FAULTS", 1),
            slow_faults=number("SLOW", number("FAULTS", 0)),
            points=number("POINTS", 1),
            matrix=number("MATRIX", 0),
            properties=number("PROPERTIES", 5_000),
            bodies=number("BODIES", 5_000),
            rate=float(given.get("CHAOS_RATE", "2.5")),
            hold=float(given.get("CHAOS_HOLD", "20")),
            poll=number("POLL", 5_000),
            results=Path(results).resolve() if results else None,
            command=" ".join(f"{name}={value}" for name, value in sorted(given.items()) if name != "CHAOS_RESULTS"),
        )

    @property
    def scale(self) -> float:
        """How many times the short form this is, at its largest."""
        pairs = (
            (self.kills, 6), (self.terms, 3), (self.faults, 1), (self.slow_faults, 1), (self.points, 1), (self.matrix,
            1 / 11), (self.properties, 5_000), (self.bodies, 5_000), (self.hold, 20),
        )  # fmt: skip
        return max(1.0, *(mine / short for mine, short in pairs))
