"""The status page as text: figures of the last minutes, failures by code, markup that needs nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import xml.etree.ElementTree as ET

import pytest

from sttd.consumer.side_port import page, plot
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.history import POINTS, History
from sttd.consumer.side_port.metrics import Metrics


def rendered(metrics: Metrics, history: History | None = None) -> str:
    """The page of a daemon with these metrics."""
    return page.render(metrics, DaemonHealth(("model",)), history or History(metrics), "base")


def test_failures_are_counted_by_code_with_the_contracts_sentence() -> None:
    """The operator reads what went wrong without looking a code up."""
    metrics = Metrics()
    for code in ("audio_unreadable", "audio_unreadable", "expired"):
        metrics.request_finished("failed", code)
    metrics.request_finished("completed", "ok")

    text = re.sub(r"<[^>]+>", " ", rendered(metrics))

    assert re.search(r"audio_unreadable\s+failed: The bytes look like audio.*?\s2\s", text, flags=re.DOTALL)
    assert re.search(r"expired\s+failed: .*?\s1\s", text, flags=re.DOTALL)
    assert "None since the start" not in text


def test_a_fresh_daemon_has_a_page_too() -> None:
    """Before the first point and the first failure nothing is drawn, and nothing fails."""
    text = rendered(Metrics())

    assert "None since the start" in text
    assert 'class="one line"' not in text


def test_a_point_holds_rates_since_the_point_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters become what people ask: how many a minute, how long did they take."""
    clock = [100.0]
    monkeypatch.setattr("sttd.consumer.side_port.history.time.monotonic", lambda: clock[0])
    metrics = Metrics()
    history = History(metrics)
    for seconds in (2.0, 4.0):
        metrics.request_finished("completed", "ok")
        metrics.answered("stt.requests", seconds)
    metrics.request_finished("failed", "expired")
    metrics.queue_counted("stt.requests", 3)
    metrics.queue_counted("stt.requests.bulk", 4)
    metrics.queue_counted("dead", 50)
    clock[0] += 30
    history.look()
    clock[0] += 30
    history.look()

    busy, quiet = history.points
    assert (busy.completed, busy.failed, busy.answer_seconds, busy.depth) == (4, 2, 3, 7)
    assert (quiet.completed, quiet.failed, quiet.answer_seconds) == (0, 0, None)


def test_the_history_forgets() -> None:
    """A daemon that runs for a year keeps ten minutes."""
    history = History(Metrics())
    for _ in range(POINTS + 5):
        history.look()

    assert len(history.points) == POINTS


@pytest.mark.parametrize(
    ("values", "least", "top"),
    [([], 1, 1), ([0.3], 1, 1), ([3.0, None], 1, 5), ([10.0], 1, 10), ([11.0], 1, 20), ([730.0], 10, 1000)],
)
def test_the_top_of_a_scale_is_a_round_number_that_holds_every_value(
    values: list[float | None], least: float, top: float
) -> None:
    """Nothing is cut off, and people can read the scale."""
    assert plot.ceiling(values, least) == top


def test_a_gap_is_a_gap_and_the_newest_value_is_at_the_right() -> None:
    """No answers for a while is not an answer time of nought."""
    drawn = plot.line([1.0, 2.0, None, 2.0], top=2, points=4, name="one", filled=False)
    paths = re.findall(r'd="([^"]+)"', drawn)

    assert len(paths) == 2
    assert paths[0] == f"M0.0 {plot.HEIGHT / 2}L{plot.WIDTH / 3:.1f} 0.0"
    assert paths[1].startswith(f"M{plot.WIDTH:.1f} 0.0")


def test_plots_are_well_formed_and_without_inline_style() -> None:
    """The policy forbids style attributes; a browser would draw nothing and complain."""
    metrics = Metrics()
    history = History(metrics)
    history.look()
    text = rendered(metrics, history)
    plots = re.findall(r"<svg.*?</svg>", text)

    assert len(plots) == 4
    assert all(ET.fromstring(found).attrib["aria-label"] for found in plots)
    assert not re.search(r"\sstyle=|<script|\son\w+=", text)


def test_the_policy_allows_exactly_the_style_sheet_of_the_page() -> None:
    """A changed sheet with an old hash would leave the page naked."""
    (sheet,) = re.findall(r"<style>(.*?)</style>", rendered(Metrics()), flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()

    assert f"style-src 'sha256-{digest}'" in page.POLICY
    assert "unsafe" not in page.POLICY


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.4 s"), (59, "59 s"), (150, "2 min"), (3600 * 5, "5 h"), (3600 * 72, "3 days"), (math.pi, "3.1 s")],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    """Long times are shown in hours."""
    assert page.duration(seconds) == said
