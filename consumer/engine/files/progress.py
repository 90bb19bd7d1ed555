"""How far a model's download is. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["DownloadProgress", "OnProgress"]


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a download is, in bytes. `total` is 0 until it is known. `source`: where from, and why not elsewhere."""

    done: int
    total: int
    source: str = ""


OnProgress = Callable[[DownloadProgress], None]
