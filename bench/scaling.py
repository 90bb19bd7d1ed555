"""1, 2 and 4 daemons on one queue under Poisson arrivals, beside the simulation of the very same notes.

The daemons share their cores with each other, the broker, the sender and other programs. So the simulation is
given what is measured without it: core seconds of each file, taken before the run; the arrivals; how much of the cores
others used, second by second, and how much dearer a note was in the run, from the kernel's own counts. Needs
STTD_AMQP_URL and Linux.
"""

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Final
from uuid import uuid4

import pika
from rich.console import Console
from rich.table import Table

from bench.process import Process, answers, environment
from bench.scaling_notes import WEIGHTS, files, slot_share
from bench.schedule import Cores, Used
from sttd.client import Client
from sttd.schemas import names
from sttd.sizing.simulation import Cost, Fleet, Note, percentile, simulate
from tools.rabbitmq.plan import free_ports

TIMEOUT: Final = 300.0


@dataclass(frozen=True, slots=True)
class Result:
    """One run beside its simulation. Times in seconds.

    `machine`: a note's core seconds, how much dearer it was in the run, cores that others used, the engines' time with
    standing in line over that without, load.
    """

    consumers: int
    notes: int
    rate: float
    machine: tuple[float, ...]
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

    def __init__(self, client: Client, daemons: Sequence[Process], notes: Sequence[bytes], slot: float) -> None:
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
        cores = Cores(os.cpu_count() or 1, sum(known.engine[index] for _, index in arrivals))
        watching = asyncio.create_task(cores.watch(self._daemons))
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
            slowness=cores,
        )
        theirs = [answer.latency + known.other for answer in simulated.answers]
        shares = sorted((number / len(took) for number in workers.values()), reverse=True)
        core = mean(known.core[index] for _, index in arrivals)
        load = mean(loads)
        figures = (core, cores.dearer, cores.others, cores.waited, load)
        return Result(len(self._daemons), len(took), rate, figures, _measures(took), _measures(theirs), tuple(shares))

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
    settings = {"amqp_url": url, "request_queue": queue, "slots": "1", "join": "never", "model": given.model}
    try:
        async with AsyncExitStack() as stack:
            daemons = [
                await stack.enter_async_context(daemon(folder / f"{number}.log", worker=f"w{number}", **settings))
                for number in range(consumers)
            ]
            client = await stack.enter_async_context(Client(url, queue=queue, timeout=TIMEOUT))
            return await Experiment(client, daemons, files(), slot).run(given.seconds, given.share, seed, given.rounds)
    finally:
        shutil.rmtree(folder)
        await asyncio.to_thread(_delete, url, queue)


@asynccontextmanager
async def daemon(log: Path, **settings: str) -> AsyncIterator[Process]:
    """A daemon that is ready; ended with the block."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "sttd.consumer"]
    async with Process(command, environment(side_port=str(port), **settings), log) as process:
        await process.until(lambda: answers(port, "/readyz"))
        yield process


def _delete(url: str, queue: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        for name in names.request_queues(queue):
            connection.channel().queue_delete(name)


def show(results: Sequence[Result]) -> Table:
    """Measured and simulated, side by side."""
    table = Table()
    kinds = ("p50", "p95", "p99")
    simulated = (f"sim. {kind}" for kind in kinds)
    for column in (
        "consumers",
        "notes",
        "a second",
        "core s",
        "dearer",
        "others",
        "in line",
        "load",
        *kinds,
        *simulated,
        "p95 off",
        "shares",
    ):
        table.add_column(column, justify="right")
    for result in results:
        times = [f"{seconds:.2f}" for seconds in (*result.measured, *result.simulated)]
        figures = (f"{result.rate:.2f}", *(f"{figure:.3g}" for figure in result.machine))
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
    console, results = Console(width=180), []
    slot = asyncio.run(slot_share(given.model))
    console.print(f"{slot:.0%} of the engine's core seconds need the slot")
    for repetition in range(given.repeat):
        for consumers in given.consumers or (1, 2, 4):
            results.append(
                asyncio.run(experiment(os.environ["STTD_AMQP_URL"], consumers, given, given.seed + repetition, slot))
            )
            console.print(show(results))


if __name__ == "__main__":
    main()
