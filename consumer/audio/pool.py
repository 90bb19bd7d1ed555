"""The pool of decoder children: gives each file a child and replaces children that are lost.

Never forks this process: the model's threads would not survive it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from sttd.consumer.audio.admission import Release, Room, nothing_held
from sttd.consumer.audio.confine import EVERYTHING
from sttd.consumer.audio.decoder import DecodedAudio
from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.process import ChildLoss, ChildLost, ChildProcess, NeedsRoom, child_command
from sttd.consumer.errors import AudioRejected, RequestFailed, StartupError
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reply import AudioInfo

TRIES: Final = 2
ROOM_SLACK: Final = 1.02
"""A container's length is right to a packet or two."""
_WORDS: Final = {
    ChildLoss.DIED: "the decoder died on this file, twice",
    ChildLoss.TIMED_OUT: "decoding took too long, twice",
    ChildLoss.PROTOCOL: "the decoder went wrong on this file, twice",
}


class DecoderPool:
    """A fixed number of decoder children, each with one file at a time. Implements `Decoder`."""

    def __init__(
        self,
        size: int,
        limits: DecodeLimits,
        on_restart: Callable[[str], None] | None = None,
        *,
        command: Sequence[str] | None = None,
    ) -> None:
        """`on_restart(why)` is called for each child that ended: died, timed_out, protocol, cancelled or recycled."""
        self._size = size
        self._limits = limits
        self._on_restart = on_restart or (lambda _why: None)
        self._command = tuple(command or child_command())
        self._permits = asyncio.Semaphore(size)
        self._room = Room(limits.max_audio_seconds)
        self._idle: list[ChildProcess] = []
        self._busy: set[ChildProcess] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False
        self._restarts = 0

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return (
            f"<DecoderPool {state} size={self._size} idle={len(self._idle)} busy={len(self._busy)} "
            f"restarts={self._restarts}>"
        )

    @property
    def confinement(self) -> tuple[str, ...]:
        """What is in force around every idle child, in the words of `confine.EVERYTHING`."""
        held = [set(child.confinement) for child in self._idle]
        return tuple(name for name in EVERYTHING if held and all(name in one for one in held))

    async def start(self) -> None:
        """Start all children. Raises `StartupError` when one cannot: the others would not either."""
        try:
            async with asyncio.TaskGroup() as group:
                started = [
                    group.create_task(ChildProcess.start(self._command, self._limits)) for _ in range(self._size)
                ]
        except* StartupError as failures:
            self._idle += [task.result() for task in started if not task.cancelled() and not task.exception()]
            await self.close()
            raise failures.exceptions[0] from None
        self._idle += [task.result() for task in started]

    async def decode(self, audio: bytes) -> DecodedAudio:
        """Decode one file, waiting for a free child, and for room where it is long.

        Raises `AudioRejected`; `RequestFailed` when no child can be started.
        """
        if not audio:
            raise AudioRejected(ErrorCode.AUDIO_EMPTY, "the audio is empty")
        if len(audio) > self._limits.max_input_bytes:
            raise AudioRejected(ErrorCode.BODY_TOO_LARGE, f"more than {self._limits.max_input_bytes} bytes of audio")
        try:
            return await self._decode(audio, self._limits.short_seconds, nothing_held)
        except NeedsRoom as more:
            return await self._decode_long(audio, more.seconds)

    async def _decode_long(self, audio: bytes, seconds: float) -> DecodedAudio:
        """Wait for room, holding no child meanwhile.

        A file that is longer than announced then waits for the largest room.
        """
        longest = self._limits.max_audio_seconds
        for room in (min(seconds * ROOM_SLACK, longest), longest):
            release = await self._room.take(room)
            try:
                return await self._decode(audio, room, release)
            except NeedsRoom:
                release()
            except BaseException:
                release()
                raise
        raise AudioRejected(
            ErrorCode.AUDIO_UNREADABLE, _WORDS[ChildLoss.PROTOCOL], {"decoder": ChildLoss.PROTOCOL.value}
        )

    async def _decode(self, audio: bytes, room_seconds: float, release: Release) -> DecodedAudio:
        """Two tries, in the second with a child that has seen no file.

        Raises `NeedsRoom` when the file is longer than its room.
        """
        async with self._permits:
            loss = ChildLoss.DIED
            for attempt in range(TRIES):
                try:
                    pcm, info = await self._try(audio, room_seconds, fresh=attempt > 0)
                    return DecodedAudio(np.frombuffer(pcm, dtype="<i2"), info, release)
                except ChildLost as lost:
                    loss = lost.loss
        raise AudioRejected(ErrorCode.AUDIO_UNREADABLE, _WORDS[loss], {"decoder": loss.value, "tries": TRIES})

    async def close(self) -> None:
        """End all children, the busy ones too, and wait until they are gone.

        Callers that wait for a file get `RequestFailed`.
        """
        self._closed = True
        for child in self._idle:
            self._end(child)
        self._idle.clear()
        for child in self._busy:
            child.kill()  # whoever waits for it gets an error and ends it
        for _ in range(self._size):
            await self._permits.acquire()  # now no caller holds or starts a child
        await asyncio.gather(*self._ending)
        for _ in range(self._size):
            self._permits.release()

    async def _try(self, audio: bytes, room_seconds: float, *, fresh: bool) -> tuple[bytearray, AudioInfo]:
        child = await self._take(fresh=fresh)
        self._busy.add(child)
        # Unless something else happens first: a cancelled child is busy with a file that is not wanted any more.
        fate: ChildLoss | None = ChildLoss.CANCELLED
        try:
            decoded = await child.decode(audio, room_seconds)
            fate = None
        except (AudioRejected, NeedsRoom):
            fate = None
            raise
        except ChildLost as lost:
            fate = lost.loss
            raise
        finally:
            self._give_back(child, fate)
        return decoded

    async def _take(self, *, fresh: bool) -> ChildProcess:
        """An idle child that is alive, or a new one, at once where the last one was lost.

        One start for each try: no endless restarts.
        """
        while self._idle and not fresh:
            child = self._idle.pop()
            if child.alive:
                return child
            self._lose(child, ChildLoss.DIED)
        self._refuse_when_closed()
        child = await self._start()
        if self._closed:  # while it was starting
            self._end(child)
        self._refuse_when_closed()
        return child

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise RequestFailed(ErrorCode.INTERNAL_ERROR, "the decoder is shutting down")

    async def _start(self) -> ChildProcess:
        try:
            return await ChildProcess.start(self._command, self._limits)
        except StartupError as error:
            raise RequestFailed(ErrorCode.INTERNAL_ERROR, error.message) from error

    def _give_back(self, child: ChildProcess, fate: ChildLoss | None) -> None:
        self._busy.discard(child)
        if fate is None and child.files >= self._limits.files_per_child:
            fate = ChildLoss.RECYCLED
        if self._closed:
            self._end(child)
        elif fate is not None:
            self._lose(child, fate)
        else:
            self._idle.append(child)

    def _lose(self, child: ChildProcess, why: ChildLoss) -> None:
        self._restarts += 1
        self._end(child)
        self._on_restart(why.value)

    def _end(self, child: ChildProcess) -> None:
        """Kill it now, reap it in the background: neither a cancelled caller nor the next try waits for that."""
        child.kill()
        task = asyncio.create_task(child.wait(), name=f"decoder-child-{child.pid}-end")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
