"""Every alert seen firing for a real fault, and resolving after it: `make alerts`, which writes docs/alerts.md."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # comes with ctranslate2; its types are not worth a dependency

from tests.alerts.faults import FAULTS, Fault
from tests.alerts.rig import HOLD, WINDOWS, Rig
from tests.support import prometheus
from tests.support.waiting import PATIENCE, wait_for
from tools.rabbitmq import Node

pytestmark = pytest.mark.skipif(
    prometheus.binary() is None, reason="prometheus (Debian package prometheus) is not installed"
)

TABLE = Path(__file__).resolve().parents[2] / "docs" / "alerts.md"


@dataclass
class Seen:
    """One alert of one fault: seconds until it fired, seconds from the fault's end until it was gone."""

    fault: Fault
    alert: str
    fired: float
    resolved: float
    beside: set[str]


seen: list[Seen] = []


@pytest.fixture(scope="module")
def rig(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One rig for all faults: each begins when the one before is over."""
    with Rig(node, tmp_path_factory.mktemp("alerts")) as found:
        yield found


def _watch(rig: Rig, fault: Fault) -> tuple[dict[str, float], set[str]]:
    """Keep the fault going until all of its alerts have fired; when each did, and what fired beside them."""
    began = time.monotonic()
    fired: dict[str, float] = {}
    beside: set[str] = set()
    before = rig.prometheus.firing()  # of the fault before this one
    fault.begin(rig)

    def all_fired() -> bool:
        fault.go_on(rig)
        firing = rig.prometheus.firing()
        for alert in firing & set(fault.alerts):
            fired.setdefault(alert, time.monotonic() - began)
        beside.update(firing - set(fault.alerts) - before)
        return not set(fault.alerts) - set(fired)

    wait_for(
        all_fired, f"{' and '.join(fault.alerts)}", 5 * PATIENCE, words=lambda: f", only {sorted(fired)}", poll=1.0
    )
    return fired, beside


def _gone(rig: Rig, alert: str) -> bool:
    return alert not in rig.prometheus.firing()


@pytest.mark.timeout(2000)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: "+".join(fault.alerts))
def test_the_alert_fires_for_the_fault_and_resolves_after_it(rig: Rig, fault: Fault) -> None:
    """An alert that was never seen firing may not work; one that never resolves is switched off."""
    rig.until(lambda: not set(fault.alerts) & rig.prometheus.firing(), "quiet before the fault")

    fired, beside = _watch(rig, fault)
    fault.end(rig)
    ended = time.monotonic()
    for alert in fault.alerts:
        rig.until(partial(_gone, rig, alert), f"end of {alert}")
        seen.append(Seen(fault, alert, fired[alert], time.monotonic() - ended, beside))


def test_no_alert_is_left_out_and_the_table_is_written() -> None:
    """The table is of one complete run."""
    rules = yaml.safe_load((prometheus.RULES / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} == {found.alert for found in seen}

    TABLE.write_text(_page(), encoding="utf-8")


def _page() -> str:
    windows = ", ".join(f"{long} is {short}" for long, short in WINDOWS.items())
    rows = "".join(
        f"| `{found.alert}` | {found.fault.told} | {found.fired:.0f} s | {found.resolved:.0f} s | "
        f"{', '.join(f'`{name}`' for name in sorted(found.beside))} |\n"
        for found in seen
    )
    return (
        "<!-- written by `make alerts` -->\n# Alerts seen firing\n\n"
        "A real Prometheus watched a real daemon on a real RabbitMQ during each fault. To save time, the rules' `for` "
        f"is {HOLD},\n"
        f"and of their windows {windows}. Prometheus scrapes each second.\n"
        "*Gone after* counts from the end of the fault. What to do:\n"
        "[operations.md](operations.md#alerts-and-what-to-do).\n\n"
        "| alert | fault | fired after | gone after | fired beside it |\n|---|---|---|---|---|\n"
        f"{rows}"
    )
