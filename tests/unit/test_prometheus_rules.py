"""Alert and recording rules: judged by Prometheus' own tool, linked to a runbook, and about metrics that exist."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes with ctranslate2; its types are not worth a dependency

from tests.support.promql import metrics_of, unknown

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RULE_TESTS = PROMETHEUS / "tests" / "alerts.test.yml"


def rules(kind: str) -> list[dict[str, Any]]:
    """All rules that have a `kind`: `alert` or `record`."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def promtool(*arguments: str) -> None:
    """Run promtool; skipped where it is not installed (`make test` installs it where it can)."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool (Debian package prometheus) is not installed")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules() -> None:
    """A typing error in a rule would silence all of them."""
    promtool("check", "rules", *map(str, RULES))


def test_promtool_takes_the_configuration() -> None:
    """The committed configuration loads the committed rules."""
    text = (PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8")

    assert yaml.safe_load(text)["rule_files"] == ["rules/*.yml"]
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_every_alert_fires_when_it_should_and_is_silent_when_it_should_be() -> None:
    """Written down as promtool's own tests, which see all alerts at each moment."""
    promtool("test", "rules", str(RULE_TESTS))


def test_no_alert_is_without_such_a_test() -> None:
    """A new alert has to show that it can fire."""
    fired = set(re.findall(r'alertname="(\w+)"', RULE_TESTS.read_text(encoding="utf-8")))

    assert {rule["alert"] for rule in rules("alert")} == fired


@pytest.mark.parametrize("rule", rules("alert"), ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_how_bad_it_is_and_leads_to_its_runbook(rule: dict[str, Any]) -> None:
    """Every alert has a link to what to do."""
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert anchor in {heading.lower() for heading in headings}
    assert anchor == rule["alert"].lower()
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]


def test_rules_are_about_metrics_that_exist() -> None:
    """A renamed metric would leave an alert that never fires."""
    recorded = {rule["record"] for rule in rules("record")}

    for rule in [*rules("alert"), *rules("record")]:
        assert not unknown(rule["expr"], recorded), rule
    assert {name for rule in [*rules("alert"), *rules("record")] for name in metrics_of(rule["expr"])}


def test_every_alert_was_seen_firing_for_a_real_fault() -> None:
    """A new alert needs a fault in tests/alerts/faults.py and a run of `make alerts`, which writes this table."""
    table = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == {rule["alert"] for rule in rules("alert")}
