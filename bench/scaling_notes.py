"""The notes of the scaling runs, and which share of a note's work in the engine needs a slot.

Sends nothing anywhere.
"""

import time
from typing import Any, Final

from bench.peers.host import decoded
from bench.settings import PlainSettings
from sttd.commands.size.measure import job_options
from sttd.consumer.engine.opening import EngineOptions, open_engine
from sttd.consumer.engine.transcriber import Job
from sttd.samples import FOLDER
from tools.audio.files import wav

SHORT: Final = ("ru-groceries.ogg", "ru-taxi.ogg", "ru-lunch.ogg", "ru-salary.ogg", "ru-question.ogg")
LONGER: Final = (15, 30)
"""Seconds that are cut from the long sample."""

WEIGHTS: Final = (*(16 for _ in SHORT), 14, 6)
RATE: Final = 16_000


async def slot_share(model: str) -> float:
    """Which share of the engine's core seconds the gate sees, one note after the other in this process."""
    settings = PlainSettings(model=model, slots=1)
    engine: Any = await open_engine(EngineOptions.from_settings(settings))
    gate: Any = engine.gate
    run, inside = gate.run, [0.0]

    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.process_time()
        try:
            return run(*args, **kwargs)
        finally:
            inside[0] += time.process_time() - began

    gate.run = timed
    sound, options = _long(), job_options(settings)
    await engine.transcribe(Job(sound[: 3 * RATE], options))
    inside[0], began = 0.0, time.process_time()
    for number in range(12):
        await engine.transcribe(Job(sound[number * 4 * RATE :][: 3 * RATE], options))
    share = inside[0] / (time.process_time() - began)
    await engine.close(3.0)
    return share


def files() -> list[bytes]:
    """Five short notes as they came, and two longer ones."""
    return [*((FOLDER / name).read_bytes() for name in SHORT), *(_cut(seconds) for seconds in LONGER)]


def _cut(seconds: int) -> bytes:
    """The beginning of the long sample as a WAV file."""
    return wav((_long()[: RATE * seconds] * 2**15).astype("<i2").tobytes())


def _long() -> Any:
    return decoded((FOLDER / "ru-long.ogg").read_bytes())
