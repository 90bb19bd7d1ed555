"""The small protocol: an engine in a process of its own, asked over a Unix socket.

Request: number and length, each as 4 bytes, then the file's bytes. Answer: a line of JSON with `id`, `text` and
`timings` (`queued`, `decode`, `transcribe`, in seconds), or `error`. Standard library only, so that it runs in any
environment.
"""

import argparse
import asyncio
import io
import json
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

HEADER: Final = struct.Struct("<II")
READY: Final = "READY"
BEAM: Final = 5
LANGUAGE: Final = "ru"
"""Both of every peer."""

Transcribe = Callable[[Any], str]
"""Samples, float32 at 16 kHz -> text. Blocks."""


def decoded(audio: bytes) -> Any:
    """The file's samples as float32, mono, 16 kHz: decoded by PyAV, as faster-whisper does, in the peer's process."""
    import av  # noqa: PLC0415 - the harness imports this module for its numbers only
    import numpy as np  # noqa: PLC0415 - the same

    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    with av.open(io.BytesIO(audio), mode="r", metadata_errors="ignore") as container:
        frames = [part for frame in [*container.decode(audio=0), None] for part in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]).astype(np.float32) / 32768


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The arguments of every peer."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--workers", type=int, default=1, help="notes at a time")
    parser.add_argument("--threads", type=int, default=2, help="threads of each")
    return parser


def serve(socket: Path, transcribe: Transcribe, workers: int) -> None:
    """Answer until SIGTERM, first come, first served: `workers` notes at a time, each in one thread."""
    asyncio.run(serving(socket, transcribe, workers))


async def serving(socket: Path, transcribe: Transcribe, workers: int) -> None:
    """The same in a loop that runs already."""
    pool = ThreadPoolExecutor(workers)

    def work(audio: bytes, came: float) -> dict[str, Any]:
        began = time.perf_counter()
        samples = decoded(audio)
        heard_from = time.perf_counter()
        text = transcribe(samples)
        done = time.perf_counter()
        return {
            "text": text,
            "timings": {"queued": began - came, "decode": heard_from - began, "transcribe": done - heard_from},
        }

    async def answer(audio: bytes) -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(pool, work, audio, time.perf_counter())

    await _serve(socket, answer)


async def _serve(socket: Path, answer: Callable[[bytes], Awaitable[dict[str, Any]]]) -> None:
    running: set[asyncio.Task[None]] = set()

    async def one(number: int, audio: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            said = await answer(audio)
        except Exception as error:  # noqa: BLE001 - whatever the engine raises is its answer
            said = {"error": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps({"id": number, **said}).encode() + b"\n")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                number, length = HEADER.unpack(await reader.readexactly(HEADER.size))
                audio = await reader.readexactly(length)
            except asyncio.IncompleteReadError:
                writer.close()
                return
            task = asyncio.create_task(one(number, audio, writer))
            running.add(task)
            task.add_done_callback(running.discard)

    server = await asyncio.start_unix_server(connected, socket)
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()
