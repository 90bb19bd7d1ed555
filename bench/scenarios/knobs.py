"""What the command line can change about a scenario, and the form of a verdict. Pure."""

import math
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Knobs:
    """None: the scenario's own default."""

    rounds: int | None = None
    seconds: float | None = None
    count: int | None = None


def promise(measured: float, sense: Literal["at least", "at most"], wanted: float, unit: str = "") -> dict[str, Any]:
    """One line of a verdict."""
    kept = not math.isnan(measured) and (measured >= wanted if sense == "at least" else measured <= wanted)
    return {"measured": measured, "wanted": f"{sense} {wanted:g} {unit}".strip(), "kept": kept}
