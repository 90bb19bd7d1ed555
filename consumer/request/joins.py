"""The same audio once: equal requests in hand at one time share one computation, and each gets its own answer.

Between strangers only by a setting: a faster answer shows that somebody else has sent the same audio. A computation
goes on for as long as one request waits for it, whichever began it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Hashable
from hashlib import sha256
from typing import Any, Generic, TypeVar

from sttd.consumer.request.delivery import AT_ONCE, Delivery
from sttd.consumer.settings import Join
from sttd.schemas.options import TranscriptionOptions

T = TypeVar("T")

OWN = frozenset({"caller", "deadline"})
"""Options that say nothing about the text."""


class Computation(Generic[T]):
    """One computation and the requests that wait for it. `reports`: where its progress goes."""

    def __init__(self, delivery: Delivery, caller: str | None) -> None:
        """`delivery`: the request that begins it; `caller`: its caller."""
        self.reports: list[Callable[[float, str], None]] = []
        self.begun = delivery.begun
        self._caller = caller
        self._target = delivery.target
        self._waiting = 0
        self._task: asyncio.Task[T]

    def begin(self, compute: Coroutine[Any, Any, T], forget: Callable[[], None]) -> None:
        """Compute in a task of its own; `forget` is called when no more requests may join."""
        self._forget = forget
        self._task = asyncio.create_task(compute, name="joined work")
        self._task.add_done_callback(lambda _task: forget())

    def is_for(self, delivery: Delivery, caller: str | None) -> bool:
        """Whether a request is of the same caller or, where not both name one, its answer goes to the same queue.

        A gateway has one reply queue for all of its callers.
        """
        if caller is not None and self._caller is not None:
            return caller == self._caller
        return delivery.target == self._target

    def report(self, fraction: float, text: str) -> None:
        """Tell all that wait; called in a thread of the engine."""
        for tell in tuple(self.reports):
            tell(fraction, text)

    async def result(self) -> T:
        """Wait. Raises what the computation raised, in each that waits; the last that leaves ends it."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting:
                await self._end()

    async def _end(self) -> None:
        """Nothing may keep the task: its error has frames that hold the audio, and they hold this object."""
        self._forget()
        task = self._task
        del self._task, self._forget
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


class Joins(Generic[T]):
    """The computations in hand."""

    def __init__(self, join: Join) -> None:
        """`join`: which requests may share one."""
        self._join = join
        self._works: defaultdict[Hashable, list[Computation[T]]] = defaultdict(list)

    async def key(self, delivery: Delivery, audio: bytes, options: TranscriptionOptions) -> Hashable:
        """Equal for requests of one lane whose answers would have the same text; None where none may join.

        A large file is hashed in a thread: hundreds of megabytes would hold up the event loop.
        """
        if self._join == "never":
            return None
        digest = await asyncio.to_thread(_digest, audio) if len(audio) > AT_ONCE else _digest(audio)
        return digest, delivery.lane, tuple(options.model_dump(exclude=set(OWN)).items())

    def find(self, key: Hashable, delivery: Delivery, caller: str | None) -> Computation[T] | None:
        """The computation that a request may join."""
        if self._join == "never":
            return None
        works = self._works.get(key, ())
        return next((work for work in works if self._join == "all" or work.is_for(delivery, caller)), None)

    def begin(
        self,
        key: Hashable,
        delivery: Delivery,
        caller: str | None,
        compute: Callable[[Computation[T]], Coroutine[Any, Any, T]],
    ) -> Computation[T]:
        """Begin one, which others may join until it ends."""
        work: Computation[T] = Computation(delivery, caller)
        self._works[key].append(work)
        work.begin(compute(work), lambda: self._forget(key, work))
        return work

    def _forget(self, key: Hashable, work: Computation[T]) -> None:
        if work in self._works.get(key, ()):
            self._works[key].remove(work)
            if not self._works[key]:
                del self._works[key]


def _digest(audio: bytes) -> bytes:
    return sha256(audio).digest()
