"""The progress of a model's download."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """The progress of a download, in bytes. `total` is 0 until it is known.

    `source`: from where, and why not elsewhere.
    """

    done: int
    total: int
    source: str = ""


OnProgress = Callable[[DownloadProgress], None]
