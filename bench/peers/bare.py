"""Our engine without RabbitMQ, decoder children, replies: a bare loop.

Also every step of the ablation ladder between stock and daemon.
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
    from sttd.consumer.engine.transcriber import Job, JobOptions  # noqa: PLC0415 - after the environment is set

    options = JobOptions(given.language, "ru", beam_size=given.beam, vad=given.vad)
    permits = asyncio.Semaphore(given.in_hand or 4 * given.cores)

    async def transcribe(samples: Any) -> str:
        async with permits:
            return str((await engine.transcribe(Job(samples, options))).text)

    await host.serve_async(given.socket, transcribe, given.cores)


async def _engine(given: Any) -> Any:
    """As the daemon opens it; with `--gate slots`: first come, first served."""
    from bench.settings import PlainSettings  # noqa: PLC0415 - after the environment is set
    from sttd.consumer.engine import opening  # noqa: PLC0415 - the same
    from sttd.consumer.engine.model.whisper import WhisperTranscriber  # noqa: PLC0415 - the same
    from sttd.consumer.engine.schedule.gate import SlotGate  # noqa: PLC0415 - the same

    settings = PlainSettings(
        model=given.model,
        device="cpu",
        compute_type="int8",
        encoder=given.encoder,
        slots=given.cores,
        prefetch=given.in_hand or None,
    )
    options = opening.EngineOptions.from_settings(settings)
    if given.gate == "scheduler":
        return await opening.open_engine(options)
    loaded = opening.load(options, Path(given.model), SlotGate(given.cores))
    return WhisperTranscriber(loaded, threads=options.threads, long_audio=options.long_audio)


if __name__ == "__main__":
    main()
