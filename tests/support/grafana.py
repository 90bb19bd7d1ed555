"""The committed Grafana dashboard as data: its panels and their queries, with Grafana's variables filled in.

No Grafana is needed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards" / "sttd.json"


@dataclass(frozen=True)
class Query:
    """One query of one panel, as written."""

    panel: str
    expr: str

    def filled(self, window: str) -> str:
        """The query as Grafana sends it, for all daemons and this rate interval."""
        return self.expr.replace("$__rate_interval", window).replace("$instance", ".*")


def dashboard() -> dict[str, Any]:
    """The file."""
    found: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def queries() -> Iterator[Query]:
    """Every query of every panel."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield Query(panel["title"], target["expr"])
