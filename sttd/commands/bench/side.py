"""One side of `sttd bench`, in a process of its own: stock faster-whisper, or the daemon's engine.

Lines in, lines of JSON out. Never a queue, never the network.
"""

import asyncio
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any


class Stock:
    """faster-whisper as it is, file by file, with its own number of threads."""

    def __init__(self, asked: dict[str, Any]) -> None:
        import faster_whisper  # noqa: PLC0415 - seconds; the command line must not wait for it

        self._asked = asked
        self._version = faster_whisper.__version__
        self._model: Any = faster_whisper.WhisperModel(
            asked["path"], device=asked["device"], compute_type=asked["compute_type"]
        )

    def describe(self) -> dict[str, Any]:
        """Engine, device and compute type."""
        return {
            "engine": f"faster-whisper {self._version}",
            "device": self._asked["device"],
            "compute_type": self._asked["compute_type"],
        }

    def hear(self, sounds: dict[str, Any], done: Callable[[str, str], None]) -> None:
        """Transcribe all, one after the other; `done(name, text)` after each."""
        language = None if self._asked["language"] == "auto" else self._asked["language"]
        for name, samples in sounds.items():
            segments, _ = self._model.transcribe(
                samples,
                language=language,
                beam_size=self._asked["beam"],
                vad_filter=True,
                condition_on_previous_text=self._asked["condition"],
            )
            done(name, "".join(segment.text for segment in segments).strip())


class StockOnnx:
    """onnx-asr as it is, file by file, with its own number of threads; long files in pieces of the model's limit."""

    def __init__(self, asked: dict[str, Any]) -> None:
        import onnx_asr  # noqa: PLC0415 - the extra [onnx] alone has it

        from sttd.consumer.engine.files.layouts import OnnxLayout  # noqa: PLC0415 - the base install has no daemon

        path = Path(asked["path"])
        self._kind, self._weights = OnnxLayout(asked["name"], asked["compute_type"]).found(path)
        quantization = "int8" if self._weights == "int8" else None
        self._model: Any = onnx_asr.load_model(self._kind.name, path, quantization=quantization)

    def describe(self) -> dict[str, Any]:
        """As the other side's."""
        engine = f"onnx-asr {importlib.metadata.version('onnx-asr')}"
        return {"engine": engine, "device": "cpu", "compute_type": self._weights}

    def hear(self, sounds: dict[str, Any], done: Callable[[str, str], None]) -> None:
        """One after the other."""
        longest = int(self._kind.longest * 16_000)
        for name, samples in sounds.items():
            pieces = (samples[begin : begin + longest] for begin in range(0, samples.size, longest))
            done(name, " ".join(filter(None, (self._model.recognize(piece) for piece in pieces))))


class Ours:
    """The daemon's engine with the daemon's settings: as many files in hand as the daemon would have."""

    def __init__(self, asked: dict[str, Any]) -> None:
        from sttd.consumer.engine import environment  # noqa: PLC0415 - only this side has the daemon's environment

        environment.prepare()
        from sttd.consumer import settings  # noqa: PLC0415 - after the environment is prepared

        self._settings = settings.load()
        self._runner = asyncio.Runner()
        self._asked = asked
        self._engine = self._runner.run(self._open())

    async def _open(self) -> Any:
        from sttd.consumer.engine.model.contexts import CONTEXTS  # noqa: PLC0415 - after prepare()
        from sttd.consumer.engine.opening import EngineOptions, open_engine  # noqa: PLC0415 - the same

        options = EngineOptions.from_settings(self._settings)
        options = replace(options, model=self._asked["name" if options.engine == "onnx" else "path"])
        if context := self._asked.get("context"):
            options = replace(options, contexts=CONTEXTS[context])
        return await open_engine(options)

    def describe(self) -> dict[str, Any]:
        """As it stands in every reply."""
        info = self._engine.info
        return {"engine": info.engine, "device": info.device, "compute_type": info.compute_type}

    def hear(self, sounds: dict[str, Any], done: Callable[[str, str], None]) -> None:
        """All at once; the scheduler decides."""
        self._runner.run(self._all(sounds, done))

    def again(self) -> int:
        """Windows that were computed a second time so far, because their short context was not enough."""
        return sum(self._engine.context_reruns.values())

    async def _all(self, sounds: dict[str, Any], done: Callable[[str, str], None]) -> None:
        from sttd.consumer.engine.transcriber import Job, JobDefaults  # noqa: PLC0415 - after prepare()
        from sttd.schemas.options import TranscriptionOptions  # noqa: PLC0415 - the same

        request = TranscriptionOptions(language=self._asked["language"], beam_size=self._asked["beam"])
        options = JobDefaults.from_settings(self._settings).job_options(request)

        async def one(name: str, samples: Any) -> None:
            done(name, (await self._engine.transcribe(Job(samples, options))).text)

        async with asyncio.TaskGroup() as group:
            for name, samples in sounds.items():
                group.create_task(one(name, samples))


Side = Stock | StockOnnx | Ours


def _sounds(files: Iterable[str], tell: Callable[..., None]) -> dict[str, Any]:
    """Samples of each file that can be decoded; both sides decode alike, so decoding is not part of the comparison."""
    from faster_whisper.audio import decode_audio  # noqa: PLC0415 - after the environment is prepared

    found = {}
    for file in files:
        try:
            found[file] = decode_audio(file)
        except Exception as error:  # noqa: BLE001 - whatever FFmpeg finds wrong with the file
            tell(unreadable=file, reason=str(error).splitlines()[0][:200] if str(error) else type(error).__name__)
    tell(seconds={file: samples.size / 16_000 for file, samples in found.items()})
    return found


def _peak_mib() -> float:
    """The most that this process has had resident; 0 where the system does not report it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
    except (OSError, StopIteration):
        return 0.0


def _round(side: Side, sounds: dict[str, Any], tell: Callable[..., None]) -> None:
    wall, core = time.perf_counter(), time.process_time()
    side.hear(sounds, lambda name, text: tell(file=name, text=text))
    core = time.process_time() - core
    again = side.again() if isinstance(side, Ours) else 0  # stock has whole windows only
    tell(round=time.perf_counter() - wall, core=core, peak_mib=_peak_mib(), again=again)


def main() -> None:
    """Load, decode, then one round for each line of stdin until it ends."""
    answers: IO[str] = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes to stderr, not between the answers

    def tell(**line: Any) -> None:
        answers.write(json.dumps(line) + "\n")

    asked = json.loads(sys.stdin.readline())
    began = time.perf_counter()
    stock = StockOnnx if asked["engine"] == "onnx" else Stock
    side: Side = stock(asked) if asked["side"] == "stock" else Ours(asked)
    tell(loaded=time.perf_counter() - began, **side.describe())
    sounds = _sounds(asked["files"], tell)
    for _ in sys.stdin:
        _round(side, sounds, tell)
    answers.flush()
    os._exit(0)  # native thread pools may hang at the interpreter's exit; everything is written


if __name__ == "__main__":
    main()
