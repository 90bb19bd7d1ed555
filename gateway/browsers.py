"""Which pages of other origins may call the gateway from a browser (CORS): none, until the operator lists them.

The outermost layer: preflights, which carry no token, are answered, and a page can read refusals too.
"""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from sttd.gateway.door import DROPPED, IGNORED, REQUEST_ID, TRUNCATED


def opened(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """The application for pages of these origins too; without any, the application as it is.

    Any header may be sent (OpenAI's SDK has a dozen of its own); tokens travel in one, so no cookie is ever needed.
    Browsers also ask whether a public page may call an address of this network, as the gateway's mostly is.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "POST"),
        allow_headers=("*",),
        allow_private_network=True,
        expose_headers=(IGNORED, TRUNCATED, DROPPED, REQUEST_ID, "retry-after"),
    )
