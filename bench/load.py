"""Loads: clients that ask again at once, random arrivals, many notes at once, a long file among short ones.

The same for every peer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from typing import Any, Final

from bench import figures
from bench.clients import Answer, Client
from bench.notes import Note
from bench.process import PeerFailed, Watch, core_seconds
from tools.word_errors import errors

RAMP: Final = 0.2
"""The edge lies in the middle of work: counting from one answer to another would favour peers whose answers come in
pairs."""

STAGES: Final = ("queued", "decode", "transcribe")


@dataclass
class Sample:
    """What came of one load on one peer in one round."""

    begun: float
    clients: int = 0
    until: float = 0.0
    ended: float = 0.0
    answers: list[tuple[Note, Answer]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    core_seconds: float = 0.0
    broker_core_seconds: float = 0.0
    peak_mib: float = 0.0
    file_seconds: float | None = None
    """How long the long file among the notes took."""

    def notes_per_second(self) -> float:
        """A closed loop: answers while all clients were busy.

        From the first answer, or the first fifth of the time, to the end of asking.

        Else, or where that is less than an answer for each client: all over the whole time.
        """
        ends = sorted(answer.answered for _, answer in self.answers)
        since = max(self.begun + RAMP * (self.until - self.begun), ends[0] if ends else 0.0)
        counted = sum(since < end <= self.until for end in ends)
        if self.clients and counted >= self.clients:
            return counted / (self.until - since)
        return len(ends) / (self.ended - self.begun) if ends else float("nan")

    def summary(self) -> dict[str, Any]:
        """The figures. `errors`: of each note its word errors and words, of its last answer."""
        answers = [answer for _, answer in self.answers]
        count = len(answers) or float("nan")
        speed = self.notes_per_second()
        audio = sum(note.seconds for note, _ in self.answers)
        return {
            "notes": len(answers),
            "failures": self.failures,
            "errors": {note.name: _errors(note, answer.text) for note, answer in self.answers},
            "notes_per_second": speed,
            "audio_seconds_per_second": speed * audio / count,
            "latency": figures.latencies([answer.seconds for answer in answers]),
            "stages": {
                stage: figures.latencies(found) for stage in (*STAGES, "rest") if (found := _stage(answers, stage))
            },
            "core_seconds_per_note": self.core_seconds / count,
            "broker_core_seconds_per_note": self.broker_core_seconds / count,
            "peak_mib": self.peak_mib,
            "file_seconds": self.file_seconds,
        }


def _stage(answers: Sequence[Answer], stage: str) -> list[float]:
    """`rest`: what the peer's own times leave unexplained: the way there and back."""
    told = [answer for answer in answers if answer.stages]
    if stage != "rest":
        return [answer.stages[stage] for answer in told if stage in answer.stages]
    return [max(0.0, answer.seconds - sum(answer.stages.get(stage, 0.0) for stage in STAGES)) for answer in told]


def _errors(note: Note, text: str) -> list[int]:
    found = errors(note.said, text, note.language)
    return [found.word_errors, found.words]


class Load:
    """Asks one client and keeps what comes."""

    def __init__(self, client: Client, pid: int, broker_pid: int | None) -> None:
        """`pid`: of the peer, whose core time and memory are watched.

        `broker_pid`: of RabbitMQ, if it is a process here.
        """
        self._client = client
        self._pid = pid
        self._broker = broker_pid

    async def closed(self, notes: Sequence[Note], clients: int, seconds: float, **options: Any) -> Sample:
        """So many clients, each asking again when it has its answer, for so long.

        What is asked by then is waited for.
        """

        async def one(sample: Sample, first: int) -> None:
            number = first
            while time.monotonic() < sample.until:
                await self._ask(sample, notes[number % len(notes)], **options)
                number += clients

        async def all_of_them(sample: Sample) -> None:
            sample.clients, sample.until = clients, sample.begun + seconds
            await asyncio.gather(*(one(sample, number) for number in range(clients)))

        return await self._watched(all_of_them)

    async def poisson(self, notes: Sequence[Note], rate: float, seconds: float, seed: int) -> Sample:
        """Notes come when they come, `rate` a second on average, whether or not the last one is answered."""
        random, moments, moment = Random(seed), list[float](), 0.0  # noqa: S311 - arrivals, not secrets
        while (moment := moment + random.expovariate(rate)) < seconds:
            moments.append(moment)

        async def at(sample: Sample, moment: float, note: Note) -> None:
            await asyncio.sleep(max(0.0, sample.begun + moment - time.monotonic()))
            await self._ask(sample, note)

        async def all_of_them(sample: Sample) -> None:
            await asyncio.gather(
                *(at(sample, moment, notes[number % len(notes)]) for number, moment in enumerate(moments))
            )

        return await self._watched(all_of_them)

    async def paced(self, notes: Sequence[Note], pause: float, goes_on: Callable[[], bool], **options: Any) -> Sample:
        """One note every `pause` seconds, whether or not the last one is answered, while `goes_on()`."""

        async def all_of_them(sample: Sample) -> None:
            async with asyncio.TaskGroup() as asking:
                for note in cycle(notes):
                    if not goes_on():
                        break
                    asking.create_task(self._ask(sample, note, **options))
                    await asyncio.sleep(pause)

        return await self._watched(all_of_them)

    async def burst(self, notes: Sequence[Note], count: int, **options: Any) -> Sample:
        """So many notes at once."""

        async def all_of_them(sample: Sample) -> None:
            await asyncio.gather(*(self._ask(sample, notes[number % len(notes)], **options) for number in range(count)))

        return await self._watched(all_of_them)

    async def among(self, long: Note, notes: Sequence[Note], clients: int) -> Sample:
        """One long file, and clients with short notes until it is answered. The sample is the short ones'."""

        async def all_of_them(sample: Sample) -> None:
            file = Sample(sample.begun)
            reading = asyncio.create_task(self._ask(file, long), name="long-file")

            async def one(number: int) -> None:
                while not reading.done():
                    await self._ask(sample, notes[number % len(notes)])
                    number += clients

            await asyncio.gather(reading, *(one(number) for number in range(clients)))
            sample.failures += file.failures
            sample.file_seconds = next((answer.seconds for _, answer in file.answers), None)

        return await self._watched(all_of_them)

    async def _ask(self, sample: Sample, note: Note, **options: Any) -> None:
        try:
            sample.answers.append((note, await self._client.ask(note, **options)))
        except (PeerFailed, TimeoutError, OSError) as error:
            sample.failures.append(f"{type(error).__name__}: {error}"[:200])
            await asyncio.sleep(0.1)  # a peer that refuses at once must not be asked in a tight circle

    async def _watched(self, work: Callable[[Sample], Awaitable[None]]) -> Sample:
        broker = core_seconds(self._broker) if self._broker else 0.0
        async with Watch(self._pid) as used:
            sample = Sample(time.monotonic())
            await work(sample)
            sample.ended = time.monotonic()
        sample.core_seconds, sample.peak_mib = used.core_seconds, used.peak_mib
        sample.broker_core_seconds = core_seconds(self._broker) - broker if self._broker else 0.0
        return sample
