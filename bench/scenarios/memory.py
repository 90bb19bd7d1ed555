"""The daemon's memory over many notes, and its event loop while all slots are busy."""

import asyncio
import json
import statistics
import time
from typing import Any, Final

import numpy as np

from bench import notes
from bench.load import Load
from bench.process import SAMPLE_SECONDS, Watch, core_seconds, peaks_mib, resident_mib
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench, on_stage
from bench.table import OURS, PEERS, TRACED
from bench.traces import Trace
from tools import voices
from tools.audio import files

DAEMON_MIB: Final = 650.0
CHILD_MIB: Final = 100.0
NOTES: Final = 2000
PARTS: Final = 10
GROWTH_MIB: Final = 16.0
"""From the third tenth to the last: what the allocator's own breathing may be."""

HOURS: Final = 8
HOURS_MIB: Final = 1024.0
HOURS_CORE_SECONDS: Final = 120.0
"""Of the daemon: decoding, voice detection, both passes of the spectrogram and some windows. The peak lies there."""

LAG: Final = 0.25
CLIENTS: Final = 8


async def measure(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """Eight notes in hand all the time.

    Peaks as the kernel keeps them, resident memory after each tenth of the notes.
    """
    made, count = notes.notes("short"), knobs.count or NOTES
    after = []
    async with on_stage(PEERS[OURS], bench, made[0]) as running:
        load, pid = Load(running.client, running.process.pid, bench.broker_pid), running.process.pid
        for _ in range(PARTS):
            await load.burst(made, count // PARTS)
            after.append(resident_mib(pid))
        daemon, *children = peaks_mib(pid)
    growth = statistics.mean(after[-2:]) - statistics.mean(after[2:4])
    return {
        "verdict": {
            "daemon, peak MiB": promise(daemon, "at most", DAEMON_MIB, "MiB"),
            "largest decoder child, peak MiB": promise(max(children), "at most", CHILD_MIB, "MiB"),
            "growth after warming up, MiB": promise(growth, "at most", GROWTH_MIB, "MiB"),
        },
        "notes": count // PARTS * PARTS,
        "resident_mib_after_each_tenth": [round(value) for value in after],
    }


async def hours(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """Eight files of an hour in hand: the first stretch of the first one, with the real `base`, in each way.

    All processes together, shared pages counted for each; `bound`: what the daemon printed.
    """
    file, first = _hour(), notes.notes("samples")[0]
    peaks: dict[str, float] = {}
    bounds: list[float] = []
    for way, options in {"voice detection": {"vad": True}, "none": {"vad": False}}.items():
        async with on_stage(PEERS[OURS], bench, first, STTD_MODEL="base") as running:
            asked = [asyncio.create_task(running.client.ask(file, **options)) for _ in range(HOURS)]
            began = core_seconds(running.process.pid)
            async with Watch(running.process.pid) as used:
                while core_seconds(running.process.pid) - began < (knobs.seconds or HOURS_CORE_SECONDS):
                    running.process.check()
                    await asyncio.sleep(SAMPLE_SECONDS)
            peaks[way] = used.peak_mib
            bounds += [json.loads(line)["total_mib"] for line in running.process.log.splitlines() if "_mib" in line]
            for one in asked:
                one.cancel()
    return {
        "verdict": {f"peak, {way}, MiB": promise(peak, "at most", HOURS_MIB, "MiB") for way, peak in peaks.items()},
        "bound_mib": bounds,
    }


def _hour() -> notes.Note:
    """A minute of recorded sentences, sixty times, as 14 MB of ADPCM at 8 kHz.

    Its last block is padded: with a whole hour it would be longer than `STTD_MAX_AUDIO_SECONDS`.
    """
    spoken = [one.audio()[::2] for one in voices.utterances(voices.fetch(), ["ru-festvox"])[:20]]
    minute = np.concatenate(spoken)[: 60 * 8_000]
    audio = files.encode("wav", "adpcm_ms", 8_000, "mono", np.tile(minute, 60)[: 3599 * 8_000])
    return notes.Note("hour", "ru", "", 3599.0, audio)


async def lag(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """A timer every 10 ms in the daemon's own event loop while eight clients keep all slots busy."""
    made = notes.notes("short")
    async with on_stage(TRACED, bench, made[0]) as running:
        begin = time.monotonic()
        sample = await Load(running.client, running.process.pid, bench.broker_pid).closed(
            made, CLIENTS, knobs.seconds or 60
        )
        trace = Trace.read(running.trace)
    worst = trace.lag(99.9, begin, sample.ended)
    return {
        "verdict": {"event-loop lag p99.9, s": promise(worst, "at most", LAG, "s")},
        "lag": {f"p{share:g}": trace.lag(share, begin, sample.ended) for share in (50, 99, 99.9, 100)},
        "timers": len([at for at, _ in trace.lags if begin <= at <= sample.ended]),
    }
