"""Ten minutes or an hour of audio: notes beside it, what they cost it, its speed beside stock faster-whisper's."""

import asyncio
import statistics
import time
from typing import Any, Final

from bench import figures, notes
from bench.clients import Answer
from bench.load import Load
from bench.notes import Note
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench, Peer, Running, on_stage
from bench.table import OURS, PEERS, TRACED
from bench.traces import Trace

WINDOWS: Final = 2.0
LOSS: Final = 0.10
TIMES_STOCK: Final = 1.8
NOTES_BEHIND: Final = 6
PAUSE_SECONDS: Final = 1.0


async def behind(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """As many 10-minute files as there are slots; meanwhile single 3 s notes. By turns with the same files alone.

    A window time is the slot time that one window of a file takes: encode and generate, median over the run without
    notes. What the files lose is split: the notes' own work, a window of a slot each, and what comes on top of it.
    """
    file, short = notes.notes("long")[0], notes.notes("short")
    alone, beside, window_times, latencies = list[float](), list[float](), list[float](), list[float]()
    for _ in range(knobs.rounds or 3):
        async with on_stage(TRACED, bench, short[0]) as running:
            took, _ = await _files(running, file, bench.cores, [])
            alone.append(took)
            window_times.append(_window_seconds(running))
            took, answers = await _files(running, file, bench.cores, short[: knobs.count or NOTES_BEHIND])
            beside.append(took)
            latencies += [answer.seconds for answer in answers]
    window = statistics.median(window_times)
    loss = figures.spread(there / bare - 1 for there, bare in zip(beside, alone, strict=True))
    own = len(latencies) / len(alone) * window / bench.cores / statistics.median(alone)
    return {
        "verdict": {
            "slowest note, window times": promise(max(latencies) / window, "at most", WINDOWS),
            "median note, window times": promise(statistics.median(latencies) / window, "at most", WINDOWS),
            "loss of the files beyond the notes' own work": promise(loss["median"] - own, "at most", LOSS),
        },
        "window_seconds": figures.shown(figures.spread(window_times), 3),
        "note_seconds": figures.latencies(latencies),
        "files_alone_seconds": figures.shown(figures.spread(alone), 1),
        "files_with_notes_seconds": figures.shown(figures.spread(beside), 1),
        "loss": figures.shown(loss, 3),
        "of_it_the_notes_own_work": round(own, 3),
        "notes_in_each_round": knobs.count or NOTES_BEHIND,
    }


async def _files(running: Running, file: Note, count: int, short: list[Note]) -> tuple[float, list[Answer]]:
    """Seconds until all files were answered, and the answers of the notes that came meanwhile, one after the other."""
    began = time.monotonic()
    reading = [asyncio.create_task(running.client.ask(file), name="long-file") for _ in range(count)]
    await _all_slots_busy(running, began, count)
    answers = []
    for note in short:
        await asyncio.sleep(PAUSE_SECONDS)
        if all(task.done() for task in reading):
            break
        answers.append(await running.client.ask(note))
    await asyncio.gather(*reading)
    return time.monotonic() - began, answers


async def _all_slots_busy(running: Running, since: float, slots: int) -> None:
    """Until the files' calls have run in so many threads."""
    while len({call.thread for call in Trace.read(running.trace).calls if call.began >= since}) < slots:
        running.process.check()
        await asyncio.sleep(0.05)


def _window_seconds(running: Running) -> float:
    """Encode and what follows it in the same thread until the next encode."""
    windows: dict[int, list[float]] = {}
    for call in Trace.read(running.trace).calls:
        if call.name == "encode":
            windows.setdefault(call.thread, []).append(0.0)
        if call.thread in windows:
            windows[call.thread][-1] += call.seconds
    return statistics.median(seconds for thread in windows.values() for seconds in thread)


async def against_stock(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """One 10-minute file on an idle machine: ours in windows over all slots, stock in one go with as many threads.

    By turns.
    """
    took: dict[str, list[float]] = {OURS: [], "stock": []}
    core: dict[str, list[float]] = {name: [] for name in took}
    for _ in range(knobs.rounds or 3):
        for name, found in took.items():
            seconds, core_seconds = await _alone(PEERS[name], bench)
            found.append(seconds)
            core[name].append(core_seconds)
    times = figures.ratios(took["stock"], took[OURS])
    return {
        "verdict": {"times stock's speed": promise(times["median"], "at least", TIMES_STOCK)},
        "seconds": {name: figures.shown(figures.spread(found), 1) for name, found in took.items()},
        "core_seconds": {name: figures.shown(figures.spread(found), 1) for name, found in core.items()},
        "times_stock": figures.shown(times),
    }


async def _alone(peer: Peer, bench: Bench) -> tuple[float, float]:
    file, short = notes.notes("long"), notes.notes("short")
    async with on_stage(peer, bench, short[0]) as running:
        sample = await Load(running.client, running.process.pid, None).burst(file, 1)
        if sample.failures:
            raise RuntimeError(f"{peer.name}: {sample.failures[0]}")
        return sample.answers[0][1].seconds, sample.core_seconds


async def hour(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """One client's notes alone, then while a file of nearly an hour is transcribed.

    A note may come while every slot is within a model call: so its p95 may grow by the longest call, and by no more.
    """
    file, short = notes.notes("hour")[0], notes.notes("short")
    async with on_stage(TRACED, bench, short[0]) as running:
        load = Load(running.client, running.process.pid, bench.broker_pid)
        alone = await load.closed(short, 1, knobs.seconds or 120)
        beside = await load.among(file, short, 1)
        longest = max(call.seconds for call in Trace.read(running.trace).calls)
        peak = beside.peak_mib
    first, second = (figures.latencies([answer.seconds for _, answer in one.answers]) for one in (alone, beside))
    return {
        "verdict": {
            "p95 of the notes, s": promise(second["p95"], "at most", first["p95"] + longest, "s"),
            "failed notes": promise(len(alone.failures + beside.failures), "at most", 0),
        },
        "alone": first,
        "with_the_file": second,
        "notes": [len(alone.answers), len(beside.answers)],
        "longest_call_seconds": longest,
        "file_seconds": beside.file_seconds,
        "peak_mib": peak,
    }
