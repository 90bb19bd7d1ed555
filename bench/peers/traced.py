"""The daemon with two instruments in it: the times of model calls, and the delay of the event loop.

Written as lines of JSON to the file in BENCH_TRACE, on the system's monotonic clock, which the harness reads too.
Everything else is the daemon of `python -m sttd.consumer`.
"""

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Final

CALLS: Final = ("encode", "generate", "detect_language", "align")
LAG_EVERY: Final = 0.01


class Trace:
    """A file of lines that many threads write."""

    def __init__(self, path: Path) -> None:
        """Line-buffered, so that the harness can read along."""
        self._file: IO[str] = path.open("a", encoding="ascii", buffering=1)
        self._lock = threading.Lock()

    def write(self, **line: Any) -> None:
        """One line."""
        with self._lock:
            self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """What was written stays; the daemon never closes its trace."""
        self._file.close()


class TimedModel:
    """Whatever answers faster-whisper's model calls, each of them written down."""

    def __init__(self, model: Any, trace: Trace) -> None:
        """`model`: ctranslate2's, or the one that OpenVINO encodes for."""
        self._model = model
        self._trace = trace

    def __getattr__(self, name: str) -> Any:
        """Everything is the model's own; calls are timed."""
        found = getattr(self._model, name)
        if name not in CALLS:
            return found

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.monotonic()
            try:
                return found(*args, **kwargs)
            finally:
                self._trace.write(call=name, at=began, seconds=time.monotonic() - began, thread=threading.get_ident())

        return timed


def install(trace: Trace) -> None:
    """Put the instruments in: below the gate, so that waiting for a slot does not count, and beside the loop watch."""
    from sttd.consumer import app  # noqa: PLC0415 - the environment is prepared first
    from sttd.consumer.engine.model import loaded as model  # noqa: PLC0415 - the same

    loaded: Any = model.LoadedModel
    root: Any = app
    watch, init = root.watch_loop_lag, loaded.__init__

    def with_trace(self: Any, whisper: Any, **kwargs: Any) -> None:
        whisper.model = TimedModel(whisper.model, trace)
        init(self, whisper, **kwargs)

    async def watch_both(*args: Any) -> None:
        await asyncio.gather(watch(*args), _watch(trace))

    loaded.__init__ = with_trace
    root.watch_loop_lag = watch_both


async def _watch(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_EVERY
        await asyncio.sleep(LAG_EVERY)
        trace.write(lag=max(0.0, loop.time() - due), at=due)


def main() -> int:
    """The daemon, watched."""
    from sttd.consumer import __main__ as daemon  # noqa: PLC0415 - nothing is imported before the process is ours
    from sttd.consumer.engine import environment  # noqa: PLC0415 - the same

    environment.prepare()
    install(Trace(Path(os.environ["BENCH_TRACE"])))
    return daemon.main()


if __name__ == "__main__":
    sys.exit(main())
