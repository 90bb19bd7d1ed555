"""The endpoints: the old service's two, OpenAI's three, the document that describes them, and the page (static.py).

Each reads its form, waits for the client, and shapes the answer; no more.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sttd import Client
from sttd.call_options import Options
from sttd.errors import SttdClientError
from sttd.gateway import door, forms, openapi, shapes, static, wishes
from sttd.gateway.broker import Broker
from sttd.gateway.events import Events
from sttd.gateway.problems import Problem, from_client
from sttd.gateway.room import Hold, UploadRoom
from sttd.gateway.settings import NamedToken
from sttd.gateway.wishes import Task, Wish
from sttd.gateway.work import running, settled, until_gone
from sttd.schemas.reply import Transcript
from sttd.subtitles import render

OPENAI_MODEL: Final = "whisper-1"
"""What OpenAI's documents name; whatever a call names, the daemon's one model answers."""

BAD_AUDIO_OLD: Final = 500
BAD_AUDIO_OPENAI: Final = 400


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints and what they share. All are async: Starlette gives each plain function a thread."""

    broker: Broker
    room: UploadRoom
    limits: forms.Limits
    timeout: float
    model: str

    async def document(self, _: Request) -> Response:
        """The OpenAPI document."""
        return JSONResponse(openapi.document())

    async def health(self, _: Request) -> Response:
        """The old service's health: 200 while a daemon works on the queue, else 503."""
        error = await self.broker.why_not()
        told = shapes.Health(status="unavailable" if error else "ok", model=self.model, error=error)
        return _json(told, 503 if error else 200, {"cache-control": "no-store"})

    async def transcribe(self, request: Request) -> Response:
        """The old service's call."""
        with self.room.hold() as hold:
            client, form = await self._read(request, hold, wishes.OLD_FIELDS)
            audio, options = wishes.old(form, request.state.caller)
            found = await self._transcribe(request, client, audio, options, bad_audio=BAD_AUDIO_OLD)
            return _told(found, _json(shapes.OldTranscript.of(found)))

    async def transcriptions(self, request: Request) -> Response:
        """OpenAI's transcription."""
        return await self._openai(request, "transcribe")

    async def translations(self, request: Request) -> Response:
        """OpenAI's translation into English."""
        return await self._openai(request, "translate")

    async def models(self, _: Request) -> Response:
        """The names that a call may use."""
        return _json(shapes.Models(data=[shapes.Model(id=name) for name in self._names]))

    async def one_model(self, request: Request) -> Response:
        """One of them."""
        name = request.path_params["name"]
        if name not in self._names:
            raise Problem(
                404,
                f"there is no model of that name; there are {', '.join(self._names)}",
                "model_not_found",
                param="model",
            )
        return _json(shapes.Model(id=name))

    @property
    def _names(self) -> tuple[str, ...]:
        return (self.model, OPENAI_MODEL)

    async def _read(self, request: Request, hold: Hold, known: frozenset[str]) -> tuple[Client, forms.Form]:
        """What can be refused without reading is refused before; then the form."""
        client = await self.broker.admit()
        form = await forms.read(request, hold, self.limits)
        request.state.audio_bytes = None if form.audio is None else len(form.audio)
        request.state.ignored = wishes.ignored(form, known, request.query_params, request.headers)
        return client, form

    async def _transcribe(
        self, request: Request, client: Client, audio: bytes, options: Options, *, bad_audio: int
    ) -> Transcript:
        call = client.transcribe(audio, timeout=self.timeout, correlation_id=request.state.request_id, **options)
        found = await until_gone(request.receive, settled(call))
        if isinstance(found, SttdClientError):
            raise from_client(found, bad_audio=bad_audio)
        return found

    async def _openai(self, request: Request, task: Task) -> Response:
        async with AsyncExitStack() as stack:
            hold = stack.enter_context(self.room.hold())
            client, form = await self._read(request, hold, wishes.OPENAI_FIELDS)
            wish = wishes.openai(form, task, request.state.caller)
            if wish.stream:
                return await self._stream(request, client, wish, stack)
            found = await self._transcribe(request, client, wish.audio, wish.options, bad_audio=BAD_AUDIO_OPENAI)
            return _told(found, _shaped(found, wish))

    async def _stream(self, request: Request, client: Client, wish: Wish, stack: AsyncExitStack) -> Response:
        """Wait for the first step, so that what fails at once is a plain error.

        The response then owns what the request holds.
        """
        run = await stack.enter_async_context(
            running(client, wish.audio, wish.options, timeout=self.timeout, request_id=request.state.request_id)
        )
        first = await until_gone(request.receive, run.next())
        if isinstance(first, SttdClientError):
            raise from_client(first, bad_audio=BAD_AUDIO_OPENAI)
        return Events(run, first, wish, stack.pop_all(), lambda problem: door.body(problem, openai=True))


def _told(found: Transcript, answer: Response) -> Response:
    """Damaged audio is never a plain success, and nothing is left out silently, in forms without a field for it."""
    if found.audio.truncated:
        answer.headers[door.TRUNCATED] = "true"
    if found.dropped:
        answer.headers[door.DROPPED] = str(len(found.dropped))
    return answer


def _shaped(found: Transcript, wish: Wish) -> Response:
    if wish.form == "verbose_json":
        return _json(shapes.verbose(found, wish.task, wish.granularities))
    if wish.form == "json":
        return _json(shapes.Text(text=found.text, usage=shapes.usage(found), dropped=shapes.dropped(found)))
    return PlainTextResponse(render(found, wish.form) + "\n")


def _json(body: shapes.Body, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(exclude_none=True), status, headers, media_type="application/json")


Handler = Callable[[Request], Awaitable[Response]]


def build(endpoints: Endpoints, tokens: tuple[NamedToken, ...]) -> door.Door:
    """The whole application."""
    routes: list[tuple[str, Handler, str]] = [
        ("/openapi.json", endpoints.document, "GET"),
        ("/health", endpoints.health, "GET"),
        ("/transcribe", endpoints.transcribe, "POST"),
        ("/v1/audio/transcriptions", endpoints.transcriptions, "POST"),
        ("/v1/audio/translations", endpoints.translations, "POST"),
        ("/v1/models", endpoints.models, "GET"),
        ("/v1/models/{name:path}", endpoints.one_model, "GET"),
    ]
    handlers: dict[Any, Any] = dict.fromkeys((Problem, HTTPException), door.on_problem)
    calls = [Route(path, handler, methods=[method]) for path, handler, method in routes]
    facts = static.Facts(model=endpoints.model, max_bytes=endpoints.limits.file_bytes, wants_token=bool(tokens))
    app = Starlette(routes=[*calls, *static.routes(facts)], exception_handlers=handlers)
    return door.Door(app, tokens)
