"""The pages of the side port: metrics, health and a small status page.

Imports starlette, and metrics and health beside it; never reads a request's body, never shows a setting or a note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from consumer.side_port.health import Health
from consumer.side_port.metrics import Metrics

_NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_PAGE_HEADERS = {**_NO_STORE, "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="5">
<title>sttd: {status}</title><link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8886; vertical-align: top }}
</style>
</head>
<body>
<h1>sttd: {status}</h1>
<p>Model <strong>{model}</strong>, up for {uptime:.0f} s. This page reloads itself every 5 seconds.</p>
<table>
<thead><tr><th scope="col">Check</th><th scope="col">State</th><th scope="col">Reason</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p><a href="metrics">metrics</a> · <a href="readyz">readiness</a> · <a href="healthz">liveness</a> · <a href="health">old health</a></p>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class _Pages:
    """The endpoints; async although nothing awaits, since Starlette gives each plain function a thread."""

    metrics: Metrics
    health: Health
    model_name: Callable[[], str]

    async def show_metrics(self, request: Request) -> Response:
        body, content_type = self.metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={**_NO_STORE, "content-type": content_type})

    async def healthz(self, _: Request) -> Response:
        return JSONResponse(self.health.alive, headers=_NO_STORE)

    async def readyz(self, _: Request) -> Response:
        return JSONResponse(self.health.as_dict(), 200 if self.health.ready else 503, _NO_STORE)

    async def old_health(self, _: Request) -> Response:
        answer = {"status": self.health.status, "model": f"whisper-{self.model_name()}"}
        return JSONResponse(answer, 200 if self.health.ready else 503, _NO_STORE)

    async def status_page(self, _: Request) -> Response:
        page = _PAGE.format(
            status=self.health.status,
            model=escape(self.model_name()),
            uptime=self.health.alive["uptime_seconds"],
            rows="\n".join(_row(name, check) for name, check in self.health.as_dict()["checks"].items()),
        )
        return HTMLResponse(page, headers=_PAGE_HEADERS)


def _row(name: str, check: dict[str, Any]) -> str:
    return f"<tr><td>{escape(name)}</td><td>{'ok' if check['ok'] else 'not ok'}</td><td>{escape(check['reason'])}</td></tr>"


def build(metrics: Metrics, health: Health, model_name: Callable[[], str]) -> Starlette:
    """The app. `model_name()` gives what the operator calls the model, such as `base`."""
    pages = _Pages(metrics, health, model_name)
    return Starlette(
        routes=[
            Route("/", pages.status_page, methods=["GET"]),
            Route("/metrics", pages.show_metrics, methods=["GET"]),
            Route("/healthz", pages.healthz, methods=["GET"]),
            Route("/readyz", pages.readyz, methods=["GET"]),
            Route("/health", pages.old_health, methods=["GET"]),
        ]
    )
