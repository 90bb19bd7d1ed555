"""One transcription on behalf of one caller: its progress, its end, and its cancelling when the caller hangs up.

Leaves no task behind, however it ends.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.types import Receive

from sttd import Client
from sttd.call_options import Options
from sttd.errors import SttdClientError
from sttd.gateway.problems import CallerGone
from sttd.schemas.reply import Progress, Transcript

T = TypeVar("T")


async def until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; cancel it and raise `Problem` 499 if the caller hangs up first.

    The request's body has been read.
    """
    task = asyncio.create_task(work, name="work for a caller")
    hung_up = asyncio.create_task(_hung_up(receive), name="watch a caller")
    try:
        await asyncio.wait({task, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise CallerGone
    finally:
        task.cancel()
        hung_up.cancel()
        await asyncio.gather(task, hung_up, return_exceptions=True)


async def settled(call: Coroutine[Any, Any, Transcript]) -> Transcript | SttdClientError:
    """A call's end as a value: its transcript, or its error without the frames that it passed.

    They hold the audio. Raised out of a task, the error would be held by the task, and the task by one of those frames:
    the audio of every refused request would stay until the next garbage collection.
    """
    try:
        return await call
    except SttdClientError as error:
        return error.with_traceback(None)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Run:
    """A transcription under way, step by step."""

    def __init__(self, task: asyncio.Task[Transcript | SttdClientError], news: asyncio.Queue[Progress | None]) -> None:
        """Take the task and the queue that its progress goes to; None in it means that the task is done."""
        self._task = task
        self._news = news

    async def next(self) -> Progress | Transcript | SttdClientError:
        """The next progress, or at the end the transcript or the error. May be cancelled and called again."""
        progress = await self._news.get()
        return self._task.result() if progress is None else progress


@asynccontextmanager
async def running(
    client: Client,
    audio: bytes,
    options: Options,
    *,
    timeout: float,  # noqa: ASYNC109 - travels to the daemon
    request_id: str,
) -> AsyncIterator[Run]:
    """Start a transcription; the end of the block cancels what is left of it.

    `audio`: the file's bytes; `timeout`: seconds for the whole call; `request_id`: for the daemon's log.
    """
    news: asyncio.Queue[Progress | None] = asyncio.Queue()
    call = client.transcribe(audio, timeout=timeout, correlation_id=request_id, on_progress=news.put_nowait, **options)
    task = asyncio.create_task(settled(call), name=f"transcribe {request_id}")
    task.add_done_callback(lambda _: news.put_nowait(None))
    try:
        yield Run(task, news)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
