"""The status page: current work, the last ten minutes, recent failures. One file of HTML, nothing from outside.

Shows no setting, no text, no caller's id. Everything is escaped, although all of it is ours.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections import Counter
from html import escape
from typing import Any, Final

from sttd.consumer.side_port import plot
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.history import EVERY, POINTS, History, Totals, totals
from sttd.consumer.side_port.metrics import MOST_FAILURES, Ended, Metrics
from sttd.schemas.codes import ErrorCode

MINUTE: Final = 60
HOUR: Final = 3600
LONG: Final = 100  # s, from which on minutes read better

STYLE: Final = """
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--ink:#1a2330;--soft:#5b6675;--edge:#dde2e9;
--ok:#14804a;--bad:#c02f2f;--wait:#9a6700;--one:#2563c9;--two:#c02f2f}
@media(prefers-color-scheme:dark){:root{--ground:#11161d;--card:#1a212b;--ink:#e6eaf0;--soft:#9aa6b5;--edge:#2d3744;
--ok:#4cc38a;--bad:#ff7b72;--wait:#e3b341;--one:#6ea8fe;--two:#ff7b72}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;
background:var(--ground);color:var(--ink);margin:0;padding:1.5rem 1rem 3rem}
main{max-width:62rem;margin:0 auto}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.25rem 1rem;margin-bottom:1.25rem}
h1{font-size:1.4rem;line-height:1.3;margin:0}
h2{font-size:.95rem;margin:0 0 .6rem}
p{margin:0;color:var(--soft)}
.ok{color:var(--ok)}.unavailable,.bad{color:var(--bad)}.starting{color:var(--wait)}
.grid2,.tiles{display:grid;gap:1rem;margin-bottom:1rem}
.tiles{grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr))}
.grid2{grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr))}
section,.tile{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:.9rem 1rem;min-width:0}
.tile b{display:block;font-size:1.5rem;line-height:1.25;font-weight:600;font-variant-numeric:tabular-nums;
  overflow-wrap:anywhere}
.tile span,.scale,.none{color:var(--soft);font-size:.85rem}
.head,.scale{display:flex;justify-content:space-between;gap:1rem}
.head b{font-variant-numeric:tabular-nums;white-space:nowrap}
svg{display:block;width:100%;height:72px;margin:.2rem 0}
path{vector-effect:non-scaling-stroke;fill:none}
.line{stroke-width:1.75;stroke-linejoin:round;stroke-linecap:square}
.area{opacity:.16}
.one.line{stroke:var(--one)}.one.area{fill:var(--one)}.two.line{stroke:var(--two)}.two.area{fill:var(--two)}
.grid{stroke:var(--edge);stroke-width:1}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem .6rem .35rem 0;border-top:1px solid var(--edge);vertical-align:top;
  white-space:nowrap}
tr>:last-child{padding-right:0}
td.words{white-space:normal;overflow-wrap:anywhere;width:99%}
thead th{border-top:0;color:var(--soft);font-weight:500;font-size:.85rem}
td.number{font-variant-numeric:tabular-nums;white-space:nowrap}
.wide{margin-bottom:1rem}
a{color:var(--one)}
footer{margin-top:1.25rem;color:var(--soft);font-size:.9rem}
"""

POLICY: Final = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)
"""Nothing but this one style sheet, and the empty favicon."""

PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="refresh" content="5"><meta name="referrer" content="no-referrer">
<title>sttd: {status}</title><link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body><main>
<header><h1>sttd: <span class="{status}">{status}</span></h1>
<p>model <strong>{model}</strong>, up for {uptime}</p></header>
<div class="tiles">{tiles}</div>
<div class="grid2">{plots}</div>
<section class="wide"><h2>The last {remembered} failures by code</h2>{failures}</section>
<section><h2>Checks</h2><table>
<thead><tr><th scope="col">Check</th><th scope="col">State</th><th scope="col">Reason</th></tr></thead>
<tbody>{checks}</tbody></table></section>
<footer>Reloads itself every 5 seconds. <a href="metrics">metrics</a> · <a href="readyz">readiness</a> ·
<a href="healthz">liveness</a> · <a href="health">old health</a></footer>
</main></body>
</html>
"""


def render(metrics: Metrics, health: DaemonHealth, history: History, model: str) -> str:
    """The page as it is now."""
    now = totals(metrics)
    return PAGE.format(
        style=STYLE,
        status=health.status,
        model=escape(model),
        uptime=duration(health.alive["uptime_seconds"]),
        tiles=_tiles(now, history),
        plots=_plots(now, history),
        remembered=MOST_FAILURES,
        failures=_failures(list(metrics.failures)),
        checks="".join(_check(name, check) for name, check in health.as_dict()["checks"].items()),
    )


def duration(seconds: float) -> str:
    """Seconds in words, for a person."""
    if seconds < LONG:
        return f"{seconds:.1f} s" if seconds < MINUTE / 6 else f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.0f} h" if seconds < 48 * HOUR else f"{seconds / HOUR / 24:.0f} days"


def _tiles(now: Totals, history: History) -> str:
    lately = list(history.points)[-round(MINUTE / EVERY) :]
    minute = sum(point.completed for point in lately) / len(lately) if lately else 0
    tiles = (
        (str(now.in_flight), "notes in hand"),
        (f"{now.busy} of {now.slots}", "slots at work"),
        (str(now.depth), "waiting in the queues"),
        (duration(now.oldest) if now.oldest else "none", "oldest waiting note, at most"),
        (f"{minute:.0f}", "transcripts per minute, lately"),
        (f"{now.completed:.0f}", "transcripts since the start"),
    )
    return "".join(f'<div class="tile"><b>{value}</b><span>{label}</span></div>' for value, label in tiles)


def _plots(now: Totals, history: History) -> str:
    points = history.points
    done, failed = [p.completed for p in points], [p.failed for p in points]
    waited = [p.answer_seconds for p in points]
    latest = next((value for value in reversed(waited) if value is not None), None)
    rate = plot.ceiling([*done, *failed], 10)
    return "".join(
        (
            _plot(
                "Transcripts and failures per minute",
                f'{done[-1]:.0f}, <span class="{"bad" if failed[-1] else "none"}">{failed[-1]:.0f} failed</span>'
                if points
                else "",
                f"{rate:g}",
                [_line(done, rate, "one"), _line(failed, rate, "two")],
            ),
            _plot(
                "Time to the answer, mean",
                duration(latest) if latest is not None else "",
                *_scaled(waited, 1, seconds=True),
            ),
            _plot("Waiting in the queues", str(now.depth), *_scaled([float(p.depth) for p in points], 10)),
            _plot(
                "Slots at work",
                f"{now.busy} of {now.slots}",
                *_scaled([float(p.busy) for p in points], max(now.slots, 1)),
            ),
        )
    )


def _scaled(values: list[float | None] | list[float], least: float, *, seconds: bool = False) -> tuple[str, list[str]]:
    top = plot.ceiling(values, least)
    return duration(top) if seconds else f"{top:g}", [_line(values, top, "one")]


def _line(values: list[float | None] | list[float], top: float, name: str) -> str:
    return plot.line(values, top=top, points=POINTS, name=name)


def _plot(title: str, value: str, top: str, lines: list[str]) -> str:
    minutes = POINTS * EVERY / MINUTE
    return (
        f'<section><div class="head"><h2>{title}</h2><b>{value}</b></div>{plot.svg(lines, title)}'
        f'<div class="scale"><span>{minutes:g} min ago</span><span>top: {top}</span><span>now</span></div></section>'
    )


def _failures(ended: list[Ended]) -> str:
    if not ended:
        return '<p class="none">None since the start.</p>'
    counts = Counter((failure.code, failure.outcome) for failure in ended)
    latest = {(failure.code, failure.outcome): failure.at for failure in ended}
    rows = "".join(
        f'<tr><td class="words"><b>{escape(code)}</b><br><span class="none">{escape(outcome.replace("_", " "))}: '
        f'{escape(_sentence(code))}</span></td><td class="number">{count}</td>'
        f'<td class="number">{duration(max(0.0, time.time() - latest[code, outcome]))} ago</td></tr>'
        for (code, outcome), count in counts.most_common()
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Code", "Times", "Last"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _sentence(code: str) -> str:
    return next((known.sentence for known in ErrorCode if known == code), "")


def _check(name: str, check: dict[str, Any]) -> str:
    state = '<span class="ok">ok</span>' if check["ok"] else '<span class="bad">not ok</span>'
    return f'<tr><td>{escape(name)}</td><td>{state}</td><td class="words">{escape(check["reason"])}</td></tr>'
