"""`sttd size --measure`: core seconds of the sample notes in the daemon's decoder and engine, in this process.

Core seconds, not seconds: other programs on the machine make notes slower, not more expensive.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from sttd.samples import FOLDER
from sttd.sizing.profile import Profile, Row

if TYPE_CHECKING:
    from sttd.consumer.audio.pool import DecoderPool
    from sttd.consumer.engine.threaded import SpeechEngine
    from sttd.consumer.engine.transcriber import JobOptions
    from sttd.consumer.pcm import Pcm
    from sttd.consumer.settings import Settings

LENGTHS: Final = (3.0, 10.0, 30.0, 60.0)
ROUNDS: Final = 3
SHORT, LONG = FOLDER / "ru-taxi.ogg", FOLDER / "ru-long.ogg"
CLOSE_SECONDS: Final = 3.0
TICKS: Final = 100
"""Of a core second in /proc; Linux has shown 100 a second to programs for as long as there is /proc."""

Tell = Callable[[str], None]


async def measure(
    settings: Settings, *, lengths: Sequence[float] = LENGTHS, rounds: int = ROUNDS, tell: Tell = lambda _line: None
) -> Profile:
    """Load the configured model and time it. Raises the daemon's `StartupError`.

    Every round takes each length once, with as many notes at a time as there are slots; the median round counts.
    """
    from sttd.consumer.audio.limits import DecodeLimits  # noqa: PLC0415 - the base install has no daemon
    from sttd.consumer.audio.pool import DecoderPool  # noqa: PLC0415 - the same
    from sttd.consumer.engine.opening import EngineOptions, open_engine  # noqa: PLC0415 - the same

    async with AsyncExitStack() as parts:
        pool = DecoderPool(1, DecodeLimits.from_settings(settings))
        parts.push_async_callback(pool.close)
        await pool.start()
        tell("timing the decoder")
        line, sound = await _decoding(pool)
        tell(f"loading the model {settings.public_model}")
        engine = await open_engine(EngineOptions.from_settings(settings))
        parts.push_async_callback(engine.close, CLOSE_SECONDS)
        timer = _Timer(engine, settings, sound)
        await timer.round(lengths[0])  # what the first call sets up does not count
        taken: dict[float, list[_Taken]] = {seconds: [] for seconds in lengths}
        for number in range(rounds):
            for seconds in lengths:
                tell(f"round {number + 1} of {rounds}: {seconds:g} s")
                taken[seconds].append(await timer.round(seconds))
        rows = tuple(_row(seconds, line, found) for seconds, found in taken.items())
        return _profile(settings, engine, rows)


@dataclass(frozen=True, slots=True)
class _Taken:
    """One note's share of a round: core seconds, and seconds in the engine."""

    core: float
    wall: float


@dataclass(frozen=True, slots=True)
class _Line:
    """Core seconds of decoding: for each file, and for each second of it."""

    file: float
    second: float


class _Timer:
    def __init__(self, engine: SpeechEngine, settings: Settings, sound: Pcm) -> None:
        self._engine, self._settings, self._sound = engine, settings, sound

    async def round(self, seconds: float) -> _Taken:
        """All slots at work with notes of one length."""
        slots = self._settings.effective_slots
        began, core = time.perf_counter(), time.process_time()
        await asyncio.gather(*(self._note(seconds, number) for number in range(slots)))
        return _Taken((time.process_time() - core) / slots, time.perf_counter() - began)

    async def _note(self, seconds: float, number: int) -> None:
        from sttd.consumer.engine.transcriber import Job  # noqa: PLC0415 - the base install has no daemon
        from sttd.consumer.pcm import SAMPLE_RATE  # noqa: PLC0415 - the same

        samples = int(seconds * SAMPLE_RATE)
        begin = number * 4 * SAMPLE_RATE % max(1, self._sound.size - samples)
        await self._engine.transcribe(Job(self._sound[begin : begin + samples], job_options(self._settings)))


def job_options(settings: Settings) -> JobOptions:
    """A request that names no option, at temperature 0: the notes decide on second tries, not the machine."""
    from sttd.consumer.engine.transcriber import JobDefaults  # noqa: PLC0415 - the base install has no daemon
    from sttd.schemas.options import TranscriptionOptions  # noqa: PLC0415 - beside the other

    return replace(JobDefaults.from_settings(settings).job_options(TranscriptionOptions()), temperature=0.0)


async def _decoding(pool: DecoderPool) -> tuple[_Line, Pcm]:
    """What decoding costs, from a short and a long note, and the long one's sound."""
    short = await _decode(pool, SHORT, 20)
    long = await _decode(pool, LONG, 5)
    second = max(0.0, (long[0] - short[0]) / (long[1] - short[1]))
    return _Line(max(0.0, short[0] - second * short[1]), second), long[2]


async def _decode(pool: DecoderPool, path: Path, times: int) -> tuple[float, float, Pcm]:
    """Core seconds each, seconds of sound, the sound."""
    file = await asyncio.to_thread(path.read_bytes)
    decoded = await pool.decode(file)
    began = time.process_time() + _children_seconds()
    for _ in range(times):
        (await pool.decode(file)).release()
    core = (time.process_time() + _children_seconds() - began) / times
    pcm, seconds = decoded.pcm.copy(), decoded.info.duration
    decoded.release()
    return core, seconds, pcm


def _children_seconds() -> float:
    """Core seconds that the living children of this process have used."""
    children = {
        child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()
    }
    return sum(_process_seconds(int(child)) for child in children)


def _process_seconds(number: int) -> float:
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _row(seconds: float, line: _Line, found: Sequence[_Taken]) -> Row:
    decode = line.file + line.second * seconds
    core, wall = (median(values) for values in ([each.core for each in found], [each.wall for each in found]))
    return Row(seconds=seconds, decode=round(decode, 4), engine=round(core, 4), wall=round(wall, 4))


def _profile(settings: Settings, engine: SpeechEngine, rows: tuple[Row, ...]) -> Profile:
    from sttd.consumer.engine.model import cpu  # noqa: PLC0415 - the base install has no daemon

    return Profile(
        name=f"{settings.public_model} on this machine",
        machine=cpu.here().name or platform.machine(),
        model=settings.public_model,
        engine=f"{engine.info.engine}, {engine.info.device} {engine.info.compute_type}",
        beam_size=settings.beam_size,
        slots=settings.effective_slots,
        measured=datetime.now(UTC).date().isoformat(),
        rows=rows,
    )
