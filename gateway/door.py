"""What every request passes: an id of its own, the caller's token, errors in the shape of its API, one line in the log.

Never reads a body; never logs a header, a query or a text.
"""

import asyncio
import hmac
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sttd.gateway import shapes, static
from sttd.gateway.problems import CLIENT_GONE, Problem
from sttd.gateway.settings import NamedToken

OPEN_PATHS: Final = frozenset({"/", "/health", "/openapi.json"})
"""Paths without a token, such as the page's files: nothing in them is about a note."""

OPENAI_PREFIX: Final = "/v1/"
REQUEST_ID: Final = "x-request-id"
IGNORED: Final = "stt-ignored"
"""Response header: what the caller sent that has no meaning here, misspelt options above all."""

TRUNCATED: Final = "stt-truncated"
"""Response header: `true` where sound that the file had is missing."""

DROPPED: Final = "stt-dropped"
"""Response header: how many segments were left out as not said."""

MOST_NAMES: Final = 20
LONGEST_NAME: Final = 50
_USABLE_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

log = structlog.get_logger(__name__)


class Door:
    """The outermost layer of the application."""

    def __init__(self, inner: ASGIApp, tokens: Sequence[NamedToken]) -> None:
        """`tokens`: of the callers that are let in; empty: all are."""
        self._inner = inner
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        visit = _Visit(scope, send, request_id)
        try:
            if not self._welcome(scope):
                await refuse(scope, Problem(401, "a valid bearer token is needed", "invalid_api_key"))(
                    scope, receive, visit.send
                )
            else:
                await self._inner(scope, receive, visit.send)
        except asyncio.CancelledError:
            visit.status = visit.status or CLIENT_GONE
            raise
        except Exception as error:
            log.error("a request failed", action="request_failed", request_id=request_id, exc_info=error)
            if visit.status == 0:
                await refuse(scope, Problem(500, "internal error", "internal_error"))(scope, receive, visit.send)
            else:
                raise
        finally:
            visit.log()

    def _welcome(self, scope: Scope) -> bool:
        scope["state"]["caller"] = None
        if not self._tokens or scope["path"] in OPEN_PATHS or scope["path"].startswith(static.PREFIX):
            return True
        kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        token = given.strip().encode("latin-1", errors="replace")
        # Each is compared, and in constant time: the time of a refusal gives no hint about any token.
        known = [one for one in self._tokens if hmac.compare_digest(token, one.secret.encode())]
        if kind.lower() != "bearer" or not known:
            return False
        scope["state"]["caller"] = known[0].name
        return True


class _Visit:
    """One request as the log shows it."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._began = asyncio.get_running_loop().time()
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self._request_id
            headers["x-content-type-options"] = "nosniff"
            if ignored := self._scope["state"].get("ignored"):
                headers[IGNORED] = _names(ignored)
        await self._send(message)

    def log(self) -> None:
        path = self._scope["path"]
        # Probes would fill the log.
        write = log.debug if path == "/health" and self.status < HTTPStatus.BAD_REQUEST else log.info
        state, seconds = self._scope["state"], asyncio.get_running_loop().time() - self._began
        write(
            "%s %s: %d%s in %.1f s",
            self._scope["method"],
            path,
            self.status,
            f" {state['code']}" if state.get("code") else "",
            seconds,
            action="request",
            method=self._scope["method"],
            path=path,
            status=self.status,
            request_id=self._request_id,
            seconds=round(seconds, 3),
            **{name: state.get(name) for name in ("audio_bytes", "code", "reason")},
        )


def _names(given: Sequence[str]) -> str:
    """Names that a caller chose, as a header's value: percent-encoded, and bounded in number and length."""
    return ", ".join(quote(name[:LONGEST_NAME], safe="[]") for name in given[:MOST_NAMES])


def _request_id(headers: Headers) -> str:
    """The caller's own id if it can be shown and sent over AMQP, else a fresh one."""
    given = headers.get(REQUEST_ID, "")
    return given if _USABLE_ID.fullmatch(given) else str(uuid4())


def body(problem: Problem, *, openai: bool) -> bytes:
    """A problem in the shape of its API."""
    if not openai:
        return shapes.OldError(error=problem.message).model_dump_json().encode()
    ours = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    kind = _TYPES.get(problem.status, "server_error" if ours else "invalid_request_error")
    told = shapes.OpenAIProblem(message=problem.message, type=kind, param=problem.param, code=problem.code)
    return shapes.OpenAIError(error=told).model_dump_json().encode()


def refuse(scope: Scope, problem: Problem) -> Response:
    """The response of a problem, and its fields for the log."""
    scope["state"] |= {"code": problem.code, "reason": problem.cause}
    headers = {"cache-control": "no-store"}
    if problem.retry_after is not None:
        headers["retry-after"] = str(problem.retry_after)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    openai = scope["path"].startswith(OPENAI_PREFIX)
    return Response(body(problem, openai=openai), problem.status, headers, media_type="application/json")


async def on_problem(request: Request, error: Exception) -> Response:
    """Starlette's handler for our own problems, and for its own: no such page, wrong method."""
    if isinstance(error, Problem):
        return refuse(request.scope, error)
    assert isinstance(error, HTTPException)
    answer = refuse(
        request.scope, Problem(error.status_code, f"{error.detail}: see /openapi.json for what there is", "not_found")
    )
    answer.headers.update(error.headers or {})
    return answer
