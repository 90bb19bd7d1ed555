"""The dashboard shows metrics that exist, and every metric is shown, alerted on, or has a reason not to be."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes with ctranslate2; its types are not worth a dependency

from tests.support.grafana import Query, dashboard, queries
from tests.support.promql import metrics_of, served, unknown

ROOT = Path(__file__).resolve().parents[2]
RULES = [
    rule
    for path in sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
UNUSED = {
    "sttd_requests_joined_total": "what was saved, which nobody has to act on",
    "sttd_orders_ignored_total": "messages of other programs at the operator's exchange: for a search, not a panel",
    "sttd_paused": "the operator who paused it knows; readiness and the consumer count show it",
    "sttd_process_virtual_memory_bytes": "address space of models that are mapped, not memory: it frightens and says "
    "nothing",
}
"""Metrics that no panel shows by default, and why."""


@pytest.mark.parametrize("query", list(queries()), ids=lambda query: query.panel)
def test_every_query_is_about_metrics_and_records_that_exist(query: Query) -> None:
    """A renamed metric would leave an empty panel."""
    assert metrics_of(query.expr), "a panel about nothing of ours"
    assert not unknown(query.expr, RECORDED)


def test_every_metric_is_used_or_has_a_reason_not_to_be() -> None:
    """A metric without a panel is not worth its series."""
    asked = {name for query in queries() for name in metrics_of(query.expr)} | {
        n for rule in RULES for n in metrics_of(rule["expr"])
    }
    asked |= {name for record in asked & set(RECORDED) for name in metrics_of(RECORDED[record])}

    assert served() - asked == set(UNUSED)


def test_every_recording_rule_is_used() -> None:
    """A record that no panel reads is work for nothing."""
    asked = {name for query in queries() for name in metrics_of(query.expr)} | {
        n for rule in RULES for n in metrics_of(rule["expr"])
    }

    assert set(RECORDED) <= asked


def test_promtool_parses_every_query(tmp_path: Path) -> None:
    """Grafana shows a syntax error only in the opened panel."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool (Debian package prometheus) is not installed")
    rules = [{"record": f"panel:query{number}", "expr": query.filled("5m")} for number, query in enumerate(queries())]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    done = subprocess.run([tool, "check", "rules", str(path)], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    """Grafana moves overlapping panels about and drops those that share an id."""
    panels = dashboard()["panels"]
    cells = [cell for panel in panels for cell in _cells(panel["gridPos"])]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(cells) == len(set(cells))
    assert all(column < 24 for column, _ in cells)


def _cells(place: dict[str, Any]) -> list[tuple[int, int]]:
    return [(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])]


def test_provisioning_names_the_data_source_and_the_folder_that_compose_mounts() -> None:
    """`docker compose up` shows the dashboard without a click."""
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "sttd.yml").read_text())["providers"]

    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert {variable["name"] for variable in dashboard()["templating"]["list"]} == {"datasource", "instance"}
