"""A TCP proxy between daemon and broker: cut it, pause it, swallow what it carries, slow it, slice it.

Runs its own event loop in a thread, so that plain tests can control it.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

CHUNK = 65536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends RST


@dataclass(eq=False)
class _Link:
    """One connection through the proxy."""

    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    swallowed: bool = False


class Proxy:
    """Listens on a free port of loopback and carries bytes to `target` (host, port), with the faults that are set."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flow = asyncio.Event()
        self._delay = 0.0
        self._slice = CHUNK
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self.resume()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> int:
        """Reset every connection (RST to both sides); returns how many those were."""
        count: int = self._call(self._cut())
        return count

    def stall(self) -> None:
        """Pause everything, new connections too, until `resume`: the bytes wait, as TCP would send them again."""
        self._loop.call_soon_threadsafe(self._flow.clear)

    def resume(self) -> None:
        self._loop.call_soon_threadsafe(self._flow.set)

    def swallow(self) -> None:
        """Lose all further bytes of the present connections, both ways, without closing them; new ones work."""
        for link in tuple(self._links):
            link.swallowed = True

    def shape(self, *, delay: float = 0.0, size: int = CHUNK) -> None:
        """Wait `delay` seconds before each piece of at most `size` bytes."""
        self._delay, self._slice = delay, size

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link([writer])
        self._links.add(link)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._flow.wait()
            their_reader, their_writer = await asyncio.open_connection(*self._target)
            link.writers.append(their_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, reader, their_writer))
                pumps.create_task(self._pump(link, their_reader, writer))
        except* (OSError, asyncio.CancelledError):
            _reset(link)
        finally:
            self._links.discard(link)
            self._tasks.discard(task)
            for open_writer in link.writers:
                open_writer.close()

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._flow.wait()
            size, delay = self._slice, self._delay
            for start in range(0, len(data), size):
                if delay:
                    await asyncio.sleep(delay)
                if link.swallowed:
                    break
                writer.write(data[start : start + size])
                await writer.drain()
        if not link.swallowed and writer.can_write_eof():
            with contextlib.suppress(OSError):
                writer.write_eof()

    async def _cut(self) -> int:
        links = tuple(self._links)
        for link in links:
            _reset(link)
        return len(links)

    async def _end(self) -> None:
        self._server.close()
        await self._cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _reset(link: _Link) -> None:
    for writer in link.writers:
        with contextlib.suppress(OSError):  # closed already
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
