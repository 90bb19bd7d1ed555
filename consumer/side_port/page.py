"""The status page: current work, the last ten minutes, recent failures. One file of HTML, nothing from outside.

In Russian for browsers that prefer it. Shows no setting, no text, no caller's id. Everything is escaped, although all
of it is ours.
"""

import base64
import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from sttd.consumer.side_port import plot
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.history import EVERY, POINTS, History, Totals, totals
from sttd.consumer.side_port.metrics import MOST_FAILURES, Ended, Metrics
from sttd.consumer.side_port.russian import Words
from sttd.schemas.codes import ErrorCode

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 24 * HOUR
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
<html lang="{words.language}">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="refresh" content="{reload}"><meta name="referrer" content="no-referrer">
<title>sttd: {shown}</title><link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body><main>
<header><h1>sttd: <span class="{status}">{shown}</span></h1>
<p>{words[model]} <strong>{model}</strong>, {up_for} {uptime}</p></header>
<div class="tiles">{tiles}</div>
<div class="grid2">{plots}</div>
<section class="wide"><h2>{remembered}</h2>{failures}</section>
<section><h2>{words[Checks]}</h2><table>
{heads}<tbody>{checks}</tbody></table></section>
<footer>{reloads} <a href="metrics">{words[metrics]}</a> ·
<a href="readyz">{words[readiness]}</a> · <a href="healthz">{words[liveness]}</a> ·
<a href="health">{old_health}</a></footer>
</main></body>
</html>
"""
RELOAD_SECONDS: Final = 5


def render(metrics: Metrics, health: DaemonHealth, history: History, model: str, words: Words) -> str:
    """The page as it is now, in the language of `words`."""
    now = totals(metrics)
    return PAGE.format(
        style=STYLE,
        words=words,
        status=health.status,
        shown=words[health.status],
        model=escape(model),
        up_for=words["up for"],
        uptime=duration(health.alive["uptime_seconds"], words),
        tiles=_tiles(now, history, words),
        plots=_plots(now, history, words),
        remembered=words["The last {} failures by code"].format(MOST_FAILURES),
        failures=_failures(list(metrics.failures), words),
        heads=_heads("Check", "State", "Reason", words=words),
        checks="".join(_check(name, check, words) for name, check in health.as_dict()["checks"].items()),
        old_health=words["old health"],
        reload=RELOAD_SECONDS,
        reloads=words["Reloads itself every {} seconds."].format(RELOAD_SECONDS),
    )


def duration(seconds: float, words: Words) -> str:
    """Seconds in words, for a person."""
    if seconds < LONG:
        return words["{} s"].format(f"{seconds:.1f}" if seconds < MINUTE / 6 else f"{seconds:.0f}")
    if seconds < 2 * HOUR:
        return words["{} min"].format(f"{seconds / MINUTE:.0f}")
    if seconds < 2 * DAY:
        return words["{} h"].format(f"{seconds / HOUR:.0f}")
    return words["{} days"].format(f"{seconds / DAY:.0f}")


def _tiles(now: Totals, history: History, words: Words) -> str:
    tiles = (
        (str(now.in_flight), "notes in hand"),
        (_busy(now, words), "slots at work"),
        (str(now.depth), "waiting in the queues"),
        (duration(now.oldest, words) if now.oldest else words["none"], "oldest waiting note, at most"),
        (f"{_minute([point.completed for point in history.points])[-1]:.0f}", "transcripts in the last minute"),
        (f"{now.completed:.0f}", "transcripts since the start"),
    )
    return "".join(f'<div class="tile"><b>{value}</b><span>{words[label]}</span></div>' for value, label in tiles)


def _busy(now: Totals, words: Words) -> str:
    return words["{} of {}"].format(now.busy, now.slots)


def _minute(counts: Sequence[float]) -> list[float]:
    """Of each point, the sum of the minute that ends with it; at least one, 0 before the first point."""
    each = round(MINUTE / EVERY)
    return [sum(counts[max(0, end - each) : end]) for end in range(1, len(counts) + 1)] or [0.0]


def _plots(now: Totals, history: History, words: Words) -> str:
    points = history.points
    done, failed = _minute([p.completed for p in points]), _minute([p.failed for p in points])
    waited = [p.answer_seconds for p in points]
    latest = next((value for value in reversed(waited) if value is not None), None)
    count = plot.ceiling([*done, *failed])
    lines = [_line(done, count, "one"), _line(failed, count, "two")] if points else []
    bad = "bad" if failed[-1] else "none"
    failures = f'<span class="{bad}">{words["{} failed"].format(f"{failed[-1]:.0f}")}</span>'
    time_top = plot.ceiling(waited)
    return "".join(
        (
            _plot("Transcripts and failures in a minute", f"{done[-1]:.0f}, {failures}", f"{count:g}", lines, words),
            _plot(
                "Time to the answer, mean",
                duration(latest, words) if latest is not None else "",
                duration(time_top, words),
                [_line(waited, time_top, "one")],
                words,
            ),
            _gauge("Waiting in the queues", str(now.depth), [p.depth for p in points], 1, words),
            _gauge("Slots at work", _busy(now, words), [p.busy for p in points], max(now.slots, 1), words),
        )
    )


def _gauge(title: str, value: str, values: Sequence[float], least: float, words: Words) -> str:
    top = plot.ceiling(values, least)
    return _plot(title, value, f"{top:g}", [_line(values, top, "one")], words)


def _line(values: Sequence[float | None], top: float, name: str) -> str:
    return plot.line(values, top=top, points=POINTS, name=name)


def _plot(title: str, value: str, top: str, lines: list[str], words: Words) -> str:
    began = words["{} ago"].format(words["{} min"].format(f"{POINTS * EVERY / MINUTE:g}"))
    return (
        f'<section><div class="head"><h2>{words[title]}</h2><b>{value}</b></div>{plot.svg(lines, words[title])}'
        f'<div class="scale"><span>{began}</span><span>{words["top: {}"].format(top)}</span><span>{words["now"]}</span>'
        "</div></section>"
    )


def _failures(ended: list[Ended], words: Words) -> str:
    if not ended:
        return f'<p class="none">{words["None since the start."]}</p>'
    counts = Counter((failure.code, failure.outcome) for failure in ended)
    latest = {(failure.code, failure.outcome): failure.at for failure in ended}

    def ago(key: tuple[str, str]) -> str:
        return words["{} ago"].format(duration(max(0.0, time.time() - latest[key]), words))

    rows = "".join(
        f'<tr><td class="words"><b>{escape(code)}</b><br><span class="none">'
        f"{escape(words[outcome.replace('_', ' ')])}: {escape(words[_sentence(code)])}</span></td>"
        f'<td class="number">{count}</td><td class="number">{ago((code, outcome))}</td></tr>'
        for (code, outcome), count in counts.most_common()
    )
    return f"<table>{_heads('Code', 'Times', 'Last', words=words)}<tbody>{rows}</tbody></table>"


def _heads(*heads: str, words: Words) -> str:
    cells = "".join(f'<th scope="col">{words[head]}</th>' for head in heads)
    return f"<thead><tr>{cells}</tr></thead>"


def _sentence(code: str) -> str:
    return next((known.sentence for known in ErrorCode if known == code), "")


def _check(name: str, check: dict[str, Any], words: Words) -> str:
    kind, said = ("ok", "ok") if check["ok"] else ("bad", "not ok")
    state = f'<span class="{kind}">{words[said]}</span>'
    return f'<tr><td>{words[name]}</td><td>{state}</td><td class="words">{escape(words[check["reason"]])}</td></tr>'
