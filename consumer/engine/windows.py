"""Where audio is cut, and how the windows of long audio are shared out among threads.

A window is transcribed by the thread that claims it; the order of the results is that of the audio, whatever order they
come in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile

from sttd.consumer.engine.glue import Span, Spans
from sttd.consumer.errors import JobStopped
from sttd.schemas.reply import Segment


@dataclass(frozen=True, slots=True)
class LongAudio:
    """How long audio is cut.

    From how many seconds on audio counts as long, how long its windows may be, and how many threads one file may take.
    """

    after_seconds: float
    window_seconds: float
    threads: int


def pack(spans: Iterable[Span], longest: int, farthest: int) -> list[Spans]:
    """Spans -> windows of at most `longest` samples of speech each, in order; a span that is longer is cut in parts.

    Spans of one window have at most `farthest` samples between each other: Whisper loses words where speech of two
    occasions is glued together, and writes segments that begin in the one and end in the other.
    """
    windows: list[Spans] = []
    window: list[Span] = []
    for part in (part for span in spans for part in _parts(span, longest)):
        if window and (part[0] - window[-1][1] > farthest or _length([*window, part]) > longest):
            windows.append(tuple(window))
            window = []
        window.append(part)
    return [*windows, tuple(window)] if window else windows


def _parts(span: Span, longest: int) -> Iterable[Span]:
    start, end = span
    return ((begin, min(begin + longest, end)) for begin in range(start, end, longest))


def _length(spans: Iterable[Span]) -> int:
    return sum(end - start for start, end in spans)


def seconds(spans: Iterable[Span], rate: int) -> float:
    """How much speech that is."""
    return _length(spans) / rate


def joined(windows: Iterable[Sequence[Segment] | None]) -> list[Segment]:
    """The segments of all windows up to the first that is missing, numbered through."""
    done = takewhile(lambda window: window is not None, windows)
    segments = (segment for window in done for segment in window or ())
    return [segment.model_copy(update={"id": number}) for number, segment in enumerate(segments)]


class LongNote:
    """The windows of one long note: who has claimed how many, and whether one has failed."""

    def __init__(self, count: int, transcribe: Callable[[int], None], remaining: Callable[[], float]) -> None:
        """`transcribe(index)` does one window, in any thread; `remaining()`: seconds of audio that are left."""
        self.count = count
        self.remaining = remaining
        self._transcribe = transcribe
        self._next = 0
        self._busy = 0
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def claim(self) -> int | None:
        """The next window, which the caller must then `run`; None when nothing is left to begin."""
        with self._changed:
            if self._error is not None or self._next == self.count:
                return None
            self._next += 1
            self._busy += 1
            return self._next - 1

    def run(self, index: int) -> None:
        """Transcribe a claimed window. Its failure is the note's: no other window begins."""
        error: BaseException | None = None
        try:
            self._transcribe(index)
        except BaseException as raised:  # noqa: BLE001 - it belongs to the note's own thread
            error = raised
        with self._changed:
            self._error = self._error or error
            self._busy -= 1
            self._changed.notify_all()

    def wait(self) -> None:
        """Until no thread works on it any more. Raises what the first failing window raised."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy)
            if self._error is not None:
                raise self._error


class Helpers:
    """Threads that help notes with many windows: one file can then fill all slots, and never more.

    They go to the note with least audio left, window by window.
    """

    def __init__(self, threads: int) -> None:
        """`threads`: one less than the slots, as each note works in its own thread too; 0: each note is alone."""
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="window") if threads else None
        self._open: list[LongNote] = []
        self._lock = threading.Lock()

    def transcribe(self, note: LongNote) -> None:
        """Do all windows of a note, in this thread and in helping ones. Raises what a window raised."""
        with self._lock:
            self._open.append(note)
        try:
            self._call_for_help(note)
            while (index := note.claim()) is not None:
                note.run(index)
        finally:
            with self._lock:
                self._open.remove(note)
        note.wait()

    def close(self) -> None:
        """Begin nothing more; what runs, ends by its job's `stop`."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _call_for_help(self, note: LongNote) -> None:
        if self._pool is None:
            return
        try:
            for _ in range(min(self._threads, note.count - 1)):
                self._pool.submit(self._help)
        except RuntimeError:  # after close()
            raise JobStopped("the engine is closed") from None

    def _help(self) -> None:
        while (claimed := self._claim()) is not None:
            note, index = claimed
            note.run(index)

    def _claim(self) -> tuple[LongNote, int] | None:
        with self._lock:
            notes = sorted(self._open, key=lambda note: note.remaining())
        for note in notes:
            if (index := note.claim()) is not None:
                return note, index
        return None
