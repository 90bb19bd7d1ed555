"""What peers/traced.py has written: model calls and the event loop's delays. Pure but for reading the file."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.figures import percentile


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the model: when it began (monotonic seconds), how long it took, in which thread."""

    name: str
    began: float
    seconds: float
    thread: int

    @property
    def ended(self) -> float:
        """When it was over."""
        return self.began + self.seconds


@dataclass(frozen=True, slots=True)
class Trace:
    """All calls and all delays so far."""

    calls: tuple[Call, ...]
    lags: tuple[tuple[float, float], ...]

    @classmethod
    def read(cls, path: Path) -> "Trace":
        """A line that is being written is left out."""
        lines = [json.loads(line) for line in path.read_text(encoding="ascii").split("\n")[:-1]]
        calls = (Call(line["call"], line["at"], line["seconds"], line["thread"]) for line in lines if "call" in line)
        return cls(tuple(calls), tuple((line["at"], line["lag"]) for line in lines if "lag" in line))

    def between(self, begin: float, end: float) -> list[Call]:
        """Calls that ran within this time, from first to last."""
        return [call for call in self.calls if call.began >= begin and call.ended <= end]

    def lag(self, share: float, begin: float, end: float) -> float:
        """A percentile of the event loop's delays within this time."""
        return percentile((lag for at, lag in self.lags if begin <= at <= end), share)


def busy_seconds(calls: Iterable[Call]) -> float:
    """How long at least one of the calls ran: calls at the same time count once."""
    total, until = 0.0, float("-inf")
    for call in sorted(calls, key=lambda call: call.began):
        total += max(0.0, call.ended - max(call.began, until))
        until = max(until, call.ended)
    return total
