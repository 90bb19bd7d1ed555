"""The client for synchronous bots: `sttd.Client` on an event loop in a thread of its own, and nothing else.

Holds no logic of requests and replies: it calls the client and waits for it.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final, Self, TypeVar, Unpack

from sttd import errors
from sttd.arguments import Id
from sttd.call_options import CallOptions
from sttd.client import Client
from sttd.content import Audio
from sttd.replies import Dropped
from sttd.schemas.reply import Progress, Transcript

LAST_WORDS_SECONDS: Final = 5
"""How long calls that a close ended may take to report that to their threads."""

Result = TypeVar("Result")


class BlockingClient:
    """`sttd.Client` without `await`: the same arguments, results and errors. One serves any number of threads.

    Not across a fork: open it in the process that uses it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        queue: str | None = None,
        timeout: float | None = None,
        name: str = "sttd client",
    ) -> None:
        """Open nothing yet; see `Client`. Raises `SettingsInvalid`."""
        self._client = Client(url, queue=queue, timeout=timeout, name=name)
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop = asyncio.Event()
        self._ended = False
        self._calls: set[asyncio.Task[Any]] = set()

    def open(self) -> None:
        """Start the thread and connect; `with` does it.

        Raises `BrokerUnavailable`, after which it may be tried again.
        """
        if self._thread is not None:
            raise errors.ClientClosed("a blocking client is opened once: make a new one")
        opened: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(opened)), name="sttd client", daemon=True
        )
        self._thread.start()
        try:
            opened.result()
        except Exception:
            self._thread.join()
            self._thread = None
            raise
        except BaseException:  # Ctrl-C: nobody will close what opens now
            self._end()
            raise

    def close(self) -> None:
        """End all calls with `ClientClosed`, cancel their requests, disconnect, end the thread. May be called twice."""
        thread = self._thread
        if thread is not None:
            self._end()
            thread.join()

    def _end(self) -> None:
        """Stop the thread, or keep it from serving where it still connects."""
        with self._guard:
            loop, self._loop, self._ended = self._loop, None, True
        if loop is not None:
            loop.call_soon_threadsafe(self._stop.set)

    def transcribe(
        self, audio: Audio, *, on_progress: Callable[[Progress], None] | None = None, **call: Unpack[CallOptions]
    ) -> Transcript:
        """Send one voice note and wait for its transcript; see `Client.transcribe`.

        `on_progress` is called in the client's thread. Ctrl-C while this waits cancels the request.
        """
        return self._wait(self._client.transcribe(audio, on_progress=on_progress, **call))

    def stream(self, audio: Audio, **call: Unpack[CallOptions]) -> Iterator[Progress | Transcript]:
        """Each `Progress` as it comes, and the `Transcript` as the last item.

        Takes the arguments of `transcribe` but for `on_progress`. Leaving the loop early cancels the request.
        """
        updates, turn = self._client.stream(audio, **call), asyncio.Lock()

        async def following() -> Progress | Transcript | None:
            async with turn:
                return await anext(updates, None)

        async def leaving() -> None:
            async with turn:  # a step that Ctrl-C cancelled is still ending
                await updates.aclose()

        try:
            while (update := self._wait(following())) is not None:
                yield update
        finally:
            with suppress(errors.ClientClosed):  # then the client's end has closed it
                self._wait(leaving())

    def cancel(self, message_id: Id) -> None:
        """Cancel a request; see `Client.cancel`."""
        self._wait(self._client.cancel(message_id))

    @property
    def dropped(self) -> Dropped:
        """Replies without a request that waits for them; see `Client.dropped`."""
        return self._client.dropped

    @property
    def connected(self) -> bool:
        """Whether the broker is connected now."""
        return self._client.connected

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        future = self._submit(work)
        try:
            return future.result()
        except CancelledError:
            raise errors.ClientClosed("the client was closed before the answer came") from None
        except BaseException:  # Ctrl-C, above all: no caller waits any more
            future.cancel()
            raise

    def _submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        with self._guard:  # so that nothing is handed to a loop that is about to end
            if self._loop is not None and threading.current_thread() is not self._thread:
                return asyncio.run_coroutine_threadsafe(self._counted(work), self._loop)
        work.close()
        if self._loop is None:
            raise errors.ClientClosed("the client is not open: use `with BlockingClient() as client:`")
        raise RuntimeError("a callback of the client must not call the client: it would wait for itself")

    async def _counted(self, work: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            return await work
        finally:
            self._calls.discard(task)

    async def _serve(self, opened: Future[None]) -> None:
        try:
            await self._client.open()
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that waits in open()
            opened.set_exception(error)
            return
        with self._guard:
            served = not self._ended
            self._loop = asyncio.get_running_loop() if served else None
        if served:
            opened.set_result(None)
            await self._stop.wait()
        await self._client.close()
        if not served:
            opened.set_exception(errors.ClientClosed("the client was closed while it connected: make a new one"))
        if self._calls:
            await asyncio.wait(self._calls, timeout=LAST_WORDS_SECONDS)

    def __repr__(self) -> str:
        return repr(self._client).replace("<Client", "<BlockingClient", 1)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
