"""Measurements of single promises, each with a name and a verdict: `python -m bench scenario NAME`."""
from collections.abc import Callable
from typing import Any
from dataclasses import dataclass
@dataclass(frozen=True)
class Knobs:
    rounds: int | None
    seconds: float | None
    count: int | None
ALL: dict[str, Any] = {}
