"""The page at `/`: the files of gateway/page/, read once at start, served from memory.

With an ETag each and a strict policy. Never reads a file while serving, and never serves one that was not there at the
start.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sttd.schemas.languages import CODES

PREFIX: Final = "/page/"
INDEX: Final = "index.html"

_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; media-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types "
    "'none'"
)
"""Scripts, styles and calls from here alone, sound from what the visitor chose; no string ever becomes markup or a
script."""

_HEADERS: Final[Mapping[str, str]] = {
    "cache-control": "no-cache",  # kept, but checked each time: a new version is whole at once
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page needs of this gateway; anybody may read it. `max_bytes`: of one file."""

    model: str
    max_bytes: int
    wants_token: bool


def _known(request: Request) -> set[str]:
    """The tags that the browser has; a proxy that compresses makes them weak."""
    return {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}


def assets(facts: Facts) -> dict[str, bytes]:
    """All files by name; `index.html` with the facts in it."""
    found = {entry.name: entry.read_bytes() for entry in (files("sttd.gateway") / "page").iterdir()}
    found[INDEX] = _filled(found[INDEX].decode(), facts).encode()
    return found


def _filled(text: str, facts: Facts) -> str:
    return Template(text).substitute(
        model=escape(facts.model),
        max_bytes=facts.max_bytes,
        token="yes" if facts.wants_token else "no",
        languages=" ".join(sorted(CODES)),
    )


def routes(facts: Facts) -> list[Route]:
    """`/` and one address per file."""
    found = assets(facts)
    paths = {"/" if name == INDEX else f"{PREFIX}{name}": _handler(name, body) for name, body in found.items()}
    return [Route(path, handler, methods=["GET"]) for path, handler in paths.items()]


def _handler(name: str, body: bytes) -> Callable[[Request], Awaitable[Response]]:
    """Gives the file, or 304 to a browser that has it. Raises KeyError for an ending that is not the page's."""
    media_type, etag = _TYPES[name.rpartition(".")[2]], f'"{sha256(body).hexdigest()[:32]}"'
    headers = {**_HEADERS, "etag": etag}

    async def serve(request: Request) -> Response:
        if etag in _known(request):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=media_type)

    return serve
