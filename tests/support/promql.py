"""Which metrics a PromQL expression asks for, and whether the daemon has them.

By words: enough for our own rules and panels.
"""

import re
from collections.abc import Collection

from sttd.consumer.side_port.metrics import Metrics

PROCESS = frozenset(
    f"sttd_process_{name}"
    for name in tuple(
        "cpu_seconds_total resident_memory_bytes virtual_memory_bytes start_time_seconds open_fds max_fds".split()
    )
)
"""What the Prometheus client adds by itself on Linux."""


def metrics_of(expression: str) -> set[str]:
    """Names of our own metrics and recording rules in an expression; of histograms without their suffix."""
    without_strings = re.sub(r'"[^"]*"', "", expression)
    names = set(re.findall(r"\bsttd[_:][a-zA-Z0-9_:]*", without_strings))
    return {name if ":" in name else re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def served() -> set[str]:
    """Every metric of the daemon."""
    return {row.name for row in Metrics().described} | PROCESS


def unknown(expression: str, recorded: Collection[str]) -> set[str]:
    """Names in an expression that neither the daemon nor a recording rule has."""
    return metrics_of(expression) - served() - set(recorded)
