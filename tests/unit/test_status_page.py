"""The status page as text: figures of the last minutes, failures by code, markup that needs nothing from outside."""

import base64
import hashlib
import itertools
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from sttd.consumer.side_port import page, plot
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.history import POINTS, History
from sttd.consumer.side_port.labels import OUTCOMES
from sttd.consumer.side_port.metrics import Metrics
from sttd.consumer.side_port.russian import RUSSIAN, Words
from sttd.schemas.codes import ErrorCode

CHECKS = ("accepting", "model", "publisher", "consumer")
CONSUMER = Path(page.__file__).parents[1]


def rendered(metrics: Metrics, history: History | None = None, language: str = "en-US,ru;q=0.5") -> str:
    """The page of a daemon with these metrics, for a browser of this language."""
    return page.render(metrics, DaemonHealth(CHECKS), history or History(metrics), "base", Words(language))


def seen(html: str) -> str:
    """What a person reads."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL))


def test_failures_are_counted_by_code_with_the_contracts_sentence() -> None:
    """The operator reads what went wrong without looking a code up."""
    metrics = Metrics()
    for code in ("audio_unreadable", "audio_unreadable", "expired"):
        metrics.request_finished("failed", code)
    metrics.request_finished("completed", "ok")

    text = seen(rendered(metrics))

    assert re.search(r"audio_unreadable\s+failed: The bytes look like audio.*?\s2\s", text, flags=re.DOTALL)
    assert re.search(r"expired\s+failed: .*?\s1\s", text, flags=re.DOTALL)
    assert "None since the start" not in text


def test_a_fresh_daemon_has_a_page_too() -> None:
    """Before the first point and the first failure nothing is drawn, and nothing fails."""
    text = rendered(Metrics())

    assert "None since the start" in text
    assert 'class="one line"' not in text


def test_a_point_holds_what_came_since_the_point_before() -> None:
    """Counters become what people ask: how many lately, how long did they take."""
    metrics = Metrics()
    history = History(metrics)
    for seconds in (2.0, 4.0):
        metrics.request_finished("completed", "ok")
        metrics.answered("stt.requests", seconds)
    metrics.request_finished("failed", "expired")
    metrics.queue_counted("stt.requests", 3)
    metrics.queue_counted("stt.requests.bulk", 4)
    metrics.queue_counted("dead", 50)
    history.look()
    history.look()

    busy, quiet = history.points
    assert (busy.completed, busy.failed, busy.answer_seconds, busy.depth) == (2, 1, 3, 7)
    assert (quiet.completed, quiet.failed, quiet.answer_seconds) == (0, 0, None)


def test_the_tile_and_the_chart_count_the_same_minute() -> None:
    """Six transcripts in the last minute are six in the tile, in the chart's heading and at the end of its line."""
    metrics = Metrics()
    history = History(metrics)
    for point in range(24):  # two minutes; 9 transcripts in the first, 6 in the second
        for _ in range({0: 9, 12: 4, 23: 2}.get(point, 0)):
            metrics.request_finished("completed", "ok")
        if point == 23:
            metrics.request_finished("failed", "expired")
        history.look()
    html = rendered(metrics, history)

    assert "<b>6</b><span>transcripts in the last minute</span>" in html
    assert re.search(r"Transcripts and failures in a minute</h2><b>6, <span[^>]*>1 failed", html)
    chart = html[html.index("in a minute") :]
    assert "top: 10" in chart[: chart.index("</section>")], "of 9, the most in any minute"
    (drawn,) = re.findall(r'<path class="one line" d="([^"]+)"', chart[: chart.index("</svg>")])
    assert drawn.endswith(f"L{plot.WIDTH:.1f} {plot.HEIGHT - plot.HEIGHT * 6 / 10:.1f}")


def full_page(language: str) -> str:
    """A page with every kind of content: failures of each code, points, checks that fail for each reason of ours."""
    metrics = Metrics()
    history = History(metrics)
    for outcome, code in zip(itertools.cycle(OUTCOMES), ErrorCode, strict=False):
        metrics.request_finished(outcome, code)
    metrics.request_finished("completed", "ok")
    metrics.answered("stt.requests", 2.0)
    history.look()
    return rendered(metrics, history, language)


def test_a_russian_browser_gets_a_russian_page() -> None:
    """Every sentence of ours; what stays are names that a program has: codes, queues, the model."""
    html = full_page("ru-RU,ru;q=0.9,en-US;q=0.8")
    left = set(re.findall(r"[A-Za-z]{2,}", seen(html)))
    names = {"sttd", "base", "stt", "dead", "reply", "to", "health", *re.findall(r"[a-z]+", " ".join(ErrorCode))}

    assert '<html lang="ru">' in html
    assert left <= names
    assert len(re.findall("[а-яё]+", html)) > 200


@pytest.mark.parametrize("language", ["", "en-US,en;q=0.9,ru;q=0.8", "de-DE", "*"])
def test_any_other_browser_gets_an_english_page(language: str) -> None:
    """As the gateway's page: the browser's first language decides."""
    html = full_page(language)

    assert '<html lang="en">' in html
    assert re.findall("[а-яё]", html) == []


def test_no_translation_is_left_over_or_says_something_else() -> None:
    """A sentence that the page no longer has would stay for ever; a lost figure would be lost in one language only."""
    source = "".join(
        path.read_text()
        for path in (CONSUMER / "side_port/page.py", CONSUMER / "request/operator.py", *CONSUMER.glob("*.py"))
    )
    ours = {*(code.sentence for code in ErrorCode), *(outcome.replace("_", " ") for outcome in OUTCOMES)}
    for english, russian in RUSSIAN.items():
        assert english in ours or english in source or english == "starting", english
        assert english.count("{}") == russian.count("{}"), english


def test_the_history_forgets() -> None:
    """A daemon that runs for a year keeps ten minutes."""
    history = History(Metrics())
    for _ in range(POINTS + 5):
        history.look()

    assert len(history.points) == POINTS


@pytest.mark.parametrize(
    ("values", "least", "top"),
    [([], 1, 1), ([0.3], 1, 1), ([3.2, None], 1, 4), ([10.0], 1, 10), ([11.0], 1, 12), ([730.0], 10, 800)],
)
def test_the_top_of_a_scale_is_a_round_number_that_holds_every_value(
    values: list[float | None], least: float, top: float
) -> None:
    """Nothing is cut off, and people can read the scale."""
    assert plot.ceiling(values, least) == top


def test_a_scale_leaves_at_most_a_third_of_the_chart_empty() -> None:
    """With tops of 1, 2 and 5 alone, 21 waiting notes were drawn in the lower half."""
    assert all(value / plot.ceiling([float(value)]) >= 2 / 3 for value in range(1, 2000))


def test_a_gap_is_a_gap_and_the_newest_value_is_at_the_right() -> None:
    """No answers for a while is not an answer time of nought."""
    drawn = plot.line([1.0, 2.0, None, 2.0], top=2, points=4, name="one")
    paths = re.findall(r'line" d="([^"]+)"', drawn)

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
    assert page.duration(seconds, Words()) == said
