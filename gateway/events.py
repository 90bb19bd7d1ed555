"""A transcription as server-sent events, as OpenAI's SDK reads them: text deltas, then the whole text.

Owns everything that the request holds, and releases it when the stream ends, however it ends.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sttd.errors import SttdClientError
from sttd.gateway import shapes
from sttd.gateway.problems import CallerGone, Problem, from_client
from sttd.gateway.wishes import Wish
from sttd.gateway.work import Run, until_gone
from sttd.schemas.reply import Progress, Transcript

COMMENT_SECONDS: Final = 15.0
"""A line goes out this often where nothing else does, so that proxies keep the connection."""

END: Final = b"data: [DONE]\n\n"

log = structlog.get_logger(__name__)


class Story:
    """How much of the text has been sent.

    Deltas only ever add; where the daemon changed earlier text, the last event has the final one.
    """

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._told = ""

    def tell(self, news: Progress | Transcript) -> list[shapes.Body]:
        """The events that this step is."""
        if isinstance(news, Progress):
            return [shapes.Delta(delta=self._added(news.text), fraction=news.fraction)]
        added = self._added(news.text)
        return [*([shapes.Delta(delta=added, fraction=1.0)] if added else []), self._end(news)]

    def _added(self, text: str) -> str:
        if not text.startswith(self._told):
            return ""
        added, self._told = text[len(self._told) :], text
        return added

    def _end(self, found: Transcript) -> shapes.Body:
        told = dict(shapes.verbose(found, self._wish.task, self._wish.granularities))
        if self._wish.form != "verbose_json":
            return shapes.Done(**{name: told[name] for name in ("text", "truncated", "usage", "dropped")})
        return shapes.Done(**{name: value for name, value in told.items() if name != "task"})


class Events(Response):
    """The response."""

    media_type = "text/event-stream"

    def __init__(
        self,
        run: Run,
        first: Progress | Transcript,
        wish: Wish,
        stack: AsyncExitStack,
        error: Callable[[Problem], bytes],
    ) -> None:
        """`first`: of `run`, so that what fails at once has a status of its own.

        `stack`: closed at the end; `error`: renders a problem as the body of an error.
        """
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._run, self._first, self._story, self._stack, self._error = run, first, Story(wish), stack, error

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the caller hangs up."""
        async with self._stack:
            try:
                await until_gone(receive, self._send(send))
            except CallerGone:
                log.info("the caller of a stream hung up", action="stream_abandoned")

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        error = await self._tell(send)
        await _part(send, END if error is None else self._failure(error))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _failure(self, error: SttdClientError) -> bytes:
        problem = from_client(error, bad_audio=400)
        log.info("a stream ended with a failure", action="stream_failed", code=problem.code, reason=problem.cause)
        return _data(self._error(problem))

    async def _tell(self, send: Send) -> SttdClientError | None:
        """Send events until the transcript is sent, or an error instead."""
        news: Progress | Transcript | SttdClientError = self._first
        while not isinstance(news, SttdClientError):
            for event in self._story.tell(news):
                await _part(send, _data(event.model_dump_json(exclude_none=True).encode()))
            if isinstance(news, Transcript):
                return None
            news = await self._next(send)
        return news

    async def _next(self, send: Send) -> Progress | Transcript | SttdClientError:
        while True:
            try:
                return await asyncio.wait_for(self._run.next(), COMMENT_SECONDS)
            except TimeoutError:
                await _part(send, b": still at work\n\n")


def _data(body: bytes) -> bytes:
    return b"data: " + body + b"\n\n"


async def _part(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
