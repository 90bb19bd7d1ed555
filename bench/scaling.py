"""1, 2 and 4 daemons on one queue under Poisson arrivals, beside the simulation of the very same notes.

On a shared machine the clock tells more of the neighbours than of the queue. So the simulation is given three things that are
measured without it: core seconds of each file, taken before the run; the arrivals; and how long the daemons' threads stood in
line for a core, second by second, from the kernel's own count. Needs STTD_AMQP_URL and Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import tempfile
import time
import wave
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, Final
from uuid import uuid4

import av
import numpy as np
import pika
from rich.console import Console
from rich.table import Table

from consumer.engine.transcriber import Job
from consumer.settings import Settings
from sttd.client import Client
from sttd.commands.size_measure import job_options, open_engine_of
from sttd.samples import FOLDER
from sttd.sizing.simulation import Cost, Fleet, Note, percentile, simulate
from tests.support.daemon import DaemonProcess, children

SHORT: Final = ("ru-groceries.ogg", "ru-taxi.ogg", "ru-lunch.ogg", "ru-salary.ogg", "ru-question.ogg")
LONGER: Final = (15, 30)
"""Seconds that are cut from the long sample."""

WEIGHTS: Final = (*(16 for _ in SHORT), 14, 6)
SECOND: Final = 1.0
TIMEOUT: Final = 300.0
RATE: Final = 16_000
NANO: Final = 1e9


@dataclass(frozen=True, slots=True)
class Used:
    """What threads have used: nanoseconds on a core and in line for one, by thread."""

    threads: dict[str, tuple[int, int]]

    @classmethod
    def by(cls, daemons: Sequence[DaemonProcess]) -> Used:
        """All threads of the daemons and their decoder children."""
        pids = [pid for daemon in daemons for pid in (daemon.running.pid, *children(daemon.running.pid))]
        return cls({str(task): _schedstat(task) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()})

    def engines(self, daemons: Sequence[DaemonProcess]) -> Used:
        """Without decoder children, and without the event loop in each daemon's first thread."""
        folders = {f"/proc/{daemon.running.pid}/task" for daemon in daemons}
        loops = {f"/proc/{daemon.running.pid}/task/{daemon.running.pid}" for daemon in daemons}
        return Used({name: used for name, used in self.threads.items() if name not in loops and name.rpartition("/")[0] in folders})

    def since(self, before: Used) -> tuple[float, float]:
        """Core seconds and seconds in line."""
        pairs = [(now, before.threads.get(name, (0, 0))) for name, now in self.threads.items()]
        return sum(now[0] - then[0] for now, then in pairs) / NANO, sum(now[1] - then[1] for now, then in pairs) / NANO


def _schedstat(task: Path) -> tuple[int, int]:
    try:
        ran, waited, _ = (task / "schedstat").read_text().split()
    except OSError:  # the thread has just ended
        return 0, 0
    return int(ran), int(waited)


class Slowness:
    """How many times longer the daemons' work takes than on cores of their own, second by second."""

    def __init__(self) -> None:
        """Nothing known."""
        self._seconds: list[tuple[float, float]] = []

    def __call__(self, at: float) -> float:
        """Around that second; before the first measurement, the mean."""
        near = self._seconds[max(0, int(at) - 1) : int(at) + 3] or self._seconds
        ran = sum(second[0] for second in near)
        return (ran + sum(second[1] for second in near)) / ran if ran > 0.05 else self.overall  # noqa: PLR2004 - less is no measurement

    @property
    def overall(self) -> float:
        """Over the whole run."""
        ran = sum(second[0] for second in self._seconds)
        return (ran + sum(second[1] for second in self._seconds)) / ran if ran else 1.0

    async def watch(self, daemons: Sequence[DaemonProcess]) -> None:
        """Measure until cancelled."""
        begun, before = time.monotonic(), Used.by(daemons).engines(daemons)
        while True:
            await asyncio.sleep(max(0.0, begun + SECOND * (len(self._seconds) + 1) - time.monotonic()))
            now = (await asyncio.to_thread(Used.by, daemons)).engines(daemons)
            self._seconds.append(now.since(before))
            before = now


@dataclass(frozen=True, slots=True)
class Result:
    """One run beside its simulation. Times in seconds."""

    consumers: int
    notes: int
    rate: float
    core: float
    slowness: float
    load: float
    measured: tuple[float, float, float]
    simulated: tuple[float, float, float]
    shares: tuple[float, ...]

    @property
    def error(self) -> float:
        """Of the simulated p95 against the measured one."""
        return self.simulated[1] / self.measured[1] - 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of each file: core seconds, those of them in the engine's threads, and the seconds until its answer.

    `other`: seconds in which no thread of a daemon worked or stood in line: the broker's, the caller's.
    `slot`: the share of the engine's core seconds that needs a slot; voice detection and features do not.
    """

    core: list[float]
    engine: list[float]
    other: float
    elapsed: list[float]
    slot: float

    def cost(self, index: int) -> Cost:
        """One file's way."""
        in_slot = self.engine[index] * self.slot
        return Cost(self.core[index] - in_slot, (in_slot,))


class Experiment:
    """Daemons of one slot each on a queue of their own."""

    def __init__(self, client: Client, daemons: Sequence[DaemonProcess], notes: Sequence[bytes], slot: float) -> None:
        """They are ready. `slot`: as in `Calibration`."""
        self._client, self._daemons, self._notes, self._slot = client, daemons, notes, slot

    async def send(self, index: int) -> str:
        """One note; which worker answered."""
        answer = await self._client.transcribe(self._notes[index], language="ru", temperature=0.0, timeout=TIMEOUT)
        return answer.worker

    async def calibrate(self, rounds: int) -> Calibration:
        """As many copies of one file at once as there are daemons, again and again; medians."""
        waves = [[await self._wave(index) for index in range(len(self._notes))] for _ in range(rounds)]
        columns = [[median(figures) for figures in zip(*found, strict=True)] for found in zip(*waves, strict=True)]
        core, engine, elapsed, other = ([column[number] for column in columns] for number in range(4))
        return Calibration(core, engine, median(other), elapsed, self._slot)

    async def _wave(self, index: int) -> tuple[float, float, float, float]:
        before, began = Used.by(self._daemons), time.monotonic()
        await asyncio.gather(*(self.send(index) for _ in self._daemons))
        elapsed, after = time.monotonic() - began, Used.by(self._daemons)
        ran, waited = (seconds / len(self._daemons) for seconds in after.since(before))
        engine = after.engines(self._daemons).since(before.engines(self._daemons))[0] / len(self._daemons)
        return ran, engine, elapsed, max(0.0, elapsed - ran - waited)

    async def run(self, seconds: float, share: float, seed: int, rounds: int) -> Result:
        """Calibrate, send for so long at that share of capacity, simulate the same notes."""
        known = await self.calibrate(rounds)
        chance = random.Random(seed)  # noqa: S311 - repeatable traffic
        usual = sum(weight * elapsed for weight, elapsed in zip(WEIGHTS, known.elapsed, strict=True)) / sum(WEIGHTS)
        rate = share * len(self._daemons) / usual
        arrivals = _poisson(rate, seconds, chance)
        slowness = Slowness()
        watching = asyncio.create_task(slowness.watch(self._daemons))
        begun, loads = time.monotonic(), [os.getloadavg()[0]]
        try:
            answers = await asyncio.gather(*(self._later(begun + at, index) for at, index in arrivals))
        finally:
            watching.cancel()
        loads.append(os.getloadavg()[0])
        took = [elapsed for elapsed, _ in answers]
        workers = Counter(worker for _, worker in answers)
        files = dict(arrivals)
        simulated = simulate(
            [Note(at, 3.0) for at, _ in arrivals],
            lambda note: known.cost(files[note.at]),
            Fleet(len(self._daemons)),
            slowness=slowness,
        )
        theirs = [answer.took + known.other for answer in simulated.answers]
        shares = sorted((number / len(took) for number in workers.values()), reverse=True)
        core = mean(known.core[index] for _, index in arrivals)
        load = mean(loads)
        return Result(len(self._daemons), len(took), rate, core, slowness.overall, load, _measures(took), _measures(theirs), tuple(shares))

    async def _later(self, moment: float, index: int) -> tuple[float, str]:
        await asyncio.sleep(moment - time.monotonic())
        worker = await self.send(index)
        return time.monotonic() - moment, worker


def _measures(took: list[float]) -> tuple[float, float, float]:
    return percentile(took, 0.5), percentile(took, 0.95), percentile(took, 0.99)


def _poisson(rate: float, seconds: float, chance: random.Random) -> list[tuple[float, int]]:
    arrivals: list[tuple[float, int]] = []
    at = chance.expovariate(rate)
    while at < seconds:
        arrivals.append((at, chance.choices(range(len(WEIGHTS)), WEIGHTS)[0]))
        at += chance.expovariate(rate)
    return arrivals


async def experiment(url: str, consumers: int, given: argparse.Namespace, seed: int, slot: float) -> Result:
    """Start daemons, run, stop them, delete their queues."""
    queue = f"scaling-{uuid4().hex[:8]}"
    folder = Path(tempfile.mkdtemp(prefix="sttd-scaling-"))
    settings = {"request_queue": queue, "slots": "1", "model": given.model}
    daemons = [DaemonProcess(url, folder / f"{number}.log", worker=f"w{number}", **settings) for number in range(consumers)]
    try:
        for daemon in daemons:
            await asyncio.to_thread(daemon.start)
        for daemon in daemons:
            await asyncio.to_thread(daemon.wait_ready, 180.0)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(Client(url, queue=queue, timeout=TIMEOUT))
            return await Experiment(client, daemons, files(), slot).run(given.seconds, given.share, seed, given.rounds)
    finally:
        for daemon in daemons:
            await asyncio.to_thread(daemon.close)
        shutil.rmtree(folder)
        await asyncio.to_thread(_delete, url, queue)


async def slot_share(model: str) -> float:
    """Which share of the engine's core seconds the gate sees, one note after the other in this process."""
    settings = Settings(model=model, slots=1)
    engine = await open_engine_of(settings)
    gate: Any = engine._model.gate  # noqa: SLF001 - nobody else needs to know what passes it
    run, inside = gate.run, [0.0]

    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.process_time()
        try:
            return run(*args, **kwargs)
        finally:
            inside[0] += time.process_time() - began

    gate.run = timed
    sound = (np.frombuffer(_pcm(), np.int16) / 2**15).astype(np.float32)
    options = job_options(settings)
    await engine.transcribe(Job(sound[: 3 * RATE], options))
    inside[0], began = 0.0, time.process_time()
    for number in range(12):
        await engine.transcribe(Job(sound[number * 4 * RATE :][: 3 * RATE], options))
    share = inside[0] / (time.process_time() - began)
    await engine.close(3.0)
    return share


def _delete(url: str, queue: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        for name in (queue, f"{queue}.bulk", f"{queue}.suspect"):
            connection.channel().queue_delete(name)


def files() -> list[bytes]:
    """Five short notes as they came, and two longer ones."""
    return [*((FOLDER / name).read_bytes() for name in SHORT), *(_cut(seconds) for seconds in LONGER)]


def _cut(seconds: int) -> bytes:
    """The beginning of the long sample as a WAV file."""
    with tempfile.TemporaryFile() as file:
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(RATE)
            writer.writeframes(_pcm()[: 2 * RATE * seconds])
        file.seek(0)
        return file.read()


def _pcm() -> bytes:
    """The long sample as s16le at 16 kHz."""
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(str(FOLDER / "ru-long.ogg")) as container:
        return b"".join(part.to_ndarray().tobytes() for frame in container.decode(audio=0) for part in resampler.resample(frame))


def show(results: Sequence[Result]) -> Table:
    """Measured and simulated, side by side."""
    table = Table()
    kinds = ("p50", "p95", "p99")
    simulated = (f"sim. {kind}" for kind in kinds)
    for column in ("consumers", "notes", "a second", "core s", "slower", "load", *kinds, *simulated, "p95 off", "shares"):
        table.add_column(column, justify="right")
    for result in results:
        times = [f"{seconds:.2f}" for seconds in (*result.measured, *result.simulated)]
        figures = (f"{result.rate:.2f}", f"{result.core:.3f}", f"{result.slowness:.2f}", f"{result.load:.1f}")
        shares = " ".join(f"{share:.0%}" for share in result.shares)
        table.add_row(str(result.consumers), str(result.notes), *figures, *times, f"{result.error:+.0%}", shares)
    return table


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--consumers", type=int, action="append")
    parser.add_argument("--seconds", type=float, default=75)
    parser.add_argument("--share", type=float, default=0.65, help="of the capacity that the calibration found")
    parser.add_argument("--rounds", type=int, default=3, help="of the calibration")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="demo")
    given = parser.parse_args()
    console, results = Console(width=170), []
    slot = asyncio.run(slot_share(given.model))
    console.print(f"{slot:.0%} of the engine's core seconds need the slot")
    for repetition in range(given.repeat):
        for consumers in given.consumers or (1, 2, 4):
            results.append(asyncio.run(experiment(os.environ["STTD_AMQP_URL"], consumers, given, given.seed + repetition, slot)))
            console.print(show(results))


if __name__ == "__main__":
    main()
