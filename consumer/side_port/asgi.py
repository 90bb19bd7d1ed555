"""The pages of the side port: metrics, health and a status page.

Never reads a request's body, never shows a setting or a note.
"""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sttd.consumer.side_port import page
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.history import History
from sttd.consumer.side_port.metrics import Metrics
from sttd.consumer.side_port.russian import Words

_NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_PAGE_HEADERS = {**_NO_STORE, "content-security-policy": page.POLICY, "referrer-policy": "no-referrer"}


@dataclass(frozen=True, slots=True)
class _Pages:
    """The endpoints; async although nothing awaits, since Starlette gives each plain function a thread."""

    metrics: Metrics
    health: DaemonHealth
    history: History
    model_name: Callable[[], str]
    engine: str

    async def show_metrics(self, request: Request) -> Response:
        body, content_type = self.metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={**_NO_STORE, "content-type": content_type})

    async def healthz(self, _: Request) -> Response:
        return JSONResponse(self.health.alive, headers=_NO_STORE)

    async def readyz(self, _: Request) -> Response:
        return JSONResponse(self.health.as_dict(), 200 if self.health.ready else 503, _NO_STORE)

    async def old_health(self, _: Request) -> Response:
        answer = {"status": self.health.status, "model": f"{self.engine}-{self.model_name()}"}
        return JSONResponse(answer, 200 if self.health.ready else 503, _NO_STORE)

    async def status_page(self, request: Request) -> Response:
        words = Words(request.headers.get("accept-language", ""))
        shown = page.render(self.metrics, self.health, self.history, self.model_name(), words)
        return HTMLResponse(shown, headers=_PAGE_HEADERS | {"vary": "accept-language"})


def build(
    metrics: Metrics,
    health: DaemonHealth,
    model_name: Callable[[], str],
    history: History | None = None,
    engine: str = "whisper",
) -> Starlette:
    """The app.

    `model_name()` gives the operator's name of the model, such as `base`; without `history` the status page has no
    plots.
    """
    pages = _Pages(metrics, health, history or History(metrics), model_name, engine)
    return Starlette(
        routes=[
            Route("/", pages.status_page, methods=["GET"]),
            Route("/metrics", pages.show_metrics, methods=["GET"]),
            Route("/healthz", pages.healthz, methods=["GET"]),
            Route("/readyz", pages.readyz, methods=["GET"]),
            Route("/health", pages.old_health, methods=["GET"]),
        ]
    )
