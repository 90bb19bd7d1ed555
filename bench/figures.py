"""Numbers made of numbers: percentiles, medians, spreads. Pure; standard library only."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Final

PERCENTILES: Final = (50, 95, 99)


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` percent of the values do not exceed (nearest rank); NaN of none."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


def latencies(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and the largest, in seconds."""
    found = {f"p{share}": percentile(values, share) for share in PERCENTILES}
    return found | {"max": max(values, default=math.nan)}


def spread(values: Iterable[float]) -> dict[str, float]:
    """The median of rounds, the lowest and the highest; and how many there were."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return {"median": math.nan, "low": math.nan, "high": math.nan, "rounds": 0}
    return {"median": statistics.median(known), "low": min(known), "high": max(known), "rounds": len(known)}


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Ours over theirs, round by round: rounds that ran beside each other share the machine's mood."""
    return spread(one / other for one, other in zip(ours, theirs, strict=False) if other)


def shown(figure: dict[str, float], digits: int = 2) -> str:
    """`1.70 (1.65-1.74)`, or a dash where nothing was measured."""
    if math.isnan(figure["median"]):
        return "-"
    middle = f"{figure['median']:.{digits}f}"
    several = figure["rounds"] > 1
    return f"{middle} ({figure['low']:.{digits}f}-{figure['high']:.{digits}f})" if several else middle


def rounded(value: Any, digits: int = 6) -> Any:
    """The same value with its floats cut to so many significant digits; NaN, which JSON lacks, as None."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(inner, digits) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner, digits) for inner in value]
    return value
