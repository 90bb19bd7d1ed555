"""How far a model's download is. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["OnProgress", "Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is, in bytes. `total` is 0 until it is known. `source`: where from, and why not elsewhere."""

    done: int
    total: int
    source: str = ""


OnProgress = Callable[[Progress], None]
