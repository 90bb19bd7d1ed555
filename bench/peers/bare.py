"""Our engine without RabbitMQ, decoder children, replies: a bare loop. Also every step of the ablation ladder between stock and daemon.

Imports consumer, which it measures, and host.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bench.peers import host
from sttd.consumer.engine import environment


def main() -> None:
    """Load the model and serve."""
    parser = host.arguments(__doc__)
    parser.add_argument("--encoder", default="auto")
    parser.add_argument("--gate", choices=("scheduler", "slots"), default="scheduler")
    parser.add_argument("--no-vad", dest="vad", action="store_false")
    parser.add_argument("--in-hand", type=int, default=0, help="notes at a time; 0: four for each core, as the daemon")
    given = parser.parse_args()
    environment.prepare()
    asyncio.run(_serve(given))


async def _serve(given: Any) -> None:
    engine = await _engine(given)
    from sttd.consumer.engine.transcriber import Job  # noqa: PLC0415 - after the environment is set

    options = job_options(given.language, given.beam, vad=given.vad)
    permits = asyncio.Semaphore(given.in_hand or 4 * given.cores)

    async def transcribe(samples: Any) -> str:
        async with permits:
            return str((await engine.transcribe(Job(samples, options))).text)

    await host.serve_async(given.socket, transcribe, given.cores)


async def _engine(given: Any) -> Any:
    """As the daemon opens it; with `--gate slots` whoever comes first is served first."""
    from sttd.consumer.engine import opening, windows  # noqa: PLC0415 - after the environment is set
    from sttd.consumer.engine.model import loaded as model  # noqa: PLC0415 - after the environment is set
    from sttd.consumer.engine.model.whisper import WhisperTranscriber  # noqa: PLC0415 - the same
    from sttd.consumer.engine.schedule import gate  # noqa: PLC0415 - after the environment is set

    cores, threads = given.cores, given.in_hand or 4 * given.cores
    long_audio = windows.chosen("windows", 60, 30, cores)
    alike: dict[str, Any] = {"device": "cpu", "compute_type": "int8", "slots": cores}
    if given.gate == "scheduler":
        return await opening.open_engine(
            model=given.model,
            cache=None,
            encoder=given.encoder,
            threads=threads,
            on_progress=lambda _: None,
            long_audio=long_audio,
            **alike,
        )
    loaded = model.load(Path(given.model), name="bench", gate=gate.SlotGate(cores), encoding=given.encoder, **alike)
    return WhisperTranscriber(loaded, threads=threads, long_audio=long_audio)


def job_options(language: str, beam: int, *, vad: bool, temperatures: tuple[float, ...] | None = None) -> Any:
    """The daemon's defaults."""
    from sttd.consumer.engine.transcriber import TEMPERATURE_LADDER, JobOptions  # noqa: PLC0415 - after the environment is set

    return JobOptions(
        language=language,
        default_language="ru",
        languages=None,
        task="transcribe",
        beam_size=beam,
        temperatures=TEMPERATURE_LADDER if temperatures is None else temperatures,
        vad=vad,
        word_timestamps=False,
        condition_on_previous_text=False,
        initial_prompt=None,
        hotwords=None,
    )


if __name__ == "__main__":
    main()
