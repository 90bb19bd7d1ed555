"""Where audio is cut, and how the windows of long audio are shared out among threads.

A window is transcribed by the thread that claims it; the order of the results is that of the audio, whatever order they
come in.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, takewhile
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sttd.consumer.engine.glue import Glued, Span, Spans
from sttd.consumer.errors import JobStopped
from sttd.consumer.pcm import SAMPLE_RATE, Pcm, floats
from sttd.schemas.reply import Segment

LONGEST_PAUSE: Final = 3 * SAMPLE_RATE
"""Samples between two parts with speech that may still be transcribed as one piece. Each has 0.4 s of padding."""
WINDOW: Final = 30 * SAMPLE_RATE
"""Samples that Whisper takes at a time."""
MOST_EVENLY: Final = 2 * WINDOW
"""Audio of more than a window and up to so many samples is cut in equal parts. Longer audio has short rests less often,
and is cut at its silences where it may be."""
ENOUGH: Final = 10 * SAMPLE_RATE
"""Samples of speech in which the language is detected without more of it."""
SLIVER: Final = 5 * SAMPLE_RATE
"""Samples; a shorter window is mostly padding."""
SLACK: Final = 5 * SAMPLE_RATE
"""How far from its ideal place a cut may lie."""
FULLEST: Final = 0.93
"""How full windows may be that are cut evenly, so that a cut has room."""
FRAME: Final = SAMPLE_RATE // 50
PAUSE: Final = 5
"""Frames of the pause that a cut goes through: 0.1 s."""


@dataclass(frozen=True, slots=True)
class LongAudio:
    """How long audio is cut.

    From how many seconds on audio counts as long, how long its windows may be, and how many threads one file may take.
    """

    after_seconds: float
    window_seconds: float
    threads: int


def packed_windows(pcm: Pcm, spans: Spans | None, *, cut: LongAudio | None, evenly: bool) -> list[Spans]:
    """The windows of a note; none where the whole audio goes to faster-whisper as it is.

    `spans`: with speech, None without voice detection; `cut`: how long audio is cut, if it is; `evenly`: whether other
    audio that is a little too long for one window is cut in equal parts.
    """
    if cut:
        longest = int(cut.window_seconds * SAMPLE_RATE)
        return without_slivers(pack(spans or (), longest, LONGEST_PAUSE), pcm, longest, LONGEST_PAUSE)
    packed = pack(spans, sys.maxsize, LONGEST_PAUSE) if spans else []
    if not evenly:
        return packed
    if not packed and WINDOW < pcm.size <= MOST_EVENLY:
        packed = [((0, pcm.size),)]
    return [part for window in packed for part in _in_equal_parts(window, pcm)]


def _in_equal_parts(window: Spans, pcm: Pcm) -> list[Spans]:
    return evenly_cut(window, pcm, WINDOW) if WINDOW < length(window) <= MOST_EVENLY else [window]


def first_to_hear(first: Spans | None, spans: Spans | None) -> Spans | None:
    """What the language is detected in: the first window, unless it is short and more follows after a pause."""
    if first is None or spans is None or length(first) >= ENOUGH:
        return first
    return pack(spans, WINDOW, sys.maxsize)[0]


def pack(spans: Iterable[Span], longest: int, farthest: int) -> list[Spans]:
    """Spans -> windows of at most `longest` samples of speech each, in order; a span that is longer is cut in parts.

    Spans of one window have at most `farthest` samples between each other: Whisper loses words where speech of two
    occasions is glued together, and writes segments that begin in the one and end in the other.
    """
    windows: list[Spans] = []
    window: list[Span] = []
    for part in (part for span in spans for part in _parts(span, longest)):
        if window and (part[0] - window[-1][1] > farthest or length([*window, part]) > longest):
            windows.append(tuple(window))
            window = []
        window.append(part)
    return [*windows, tuple(window)] if window else windows


def _parts(span: Span, longest: int) -> Iterable[Span]:
    start, end = span
    return ((begin, min(begin + longest, end)) for begin in range(start, end, longest))


def evenly_cut(window: Spans, pcm: Pcm, longest: int) -> list[Spans]:
    """A window -> as few as fit into `longest` samples, about as long as each other, cut where it is quietest.

    Whisper takes 30 s at a time: of 31 s it would read the last one alone, and `base` invents captions (issue 17).
    """
    size = length(window)
    count = ceil(size / (FULLEST * longest))
    slack = min(SLACK, (longest - size // count) // 2)
    sound = floats(Glued(window).sound(pcm))
    borders = [_quietest(sound, size * part // count, slack) for part in range(1, count)]
    return [tuple(_between(window, first, last)) for first, last in pairwise([0, *borders, size])]


def quietly_cut(pcm: Pcm, longest: int) -> list[Spans]:
    """All of the audio in windows of at most `longest` samples, cut where it is quietest before that."""
    windows: list[Spans] = []
    begin = 0
    while pcm.size - begin > longest:
        slack = min(SLACK, longest // 2) // 2
        near = begin + longest - 2 * slack
        end = near + _quietest(floats(pcm[near : near + 2 * slack]), slack, slack)
        windows.append(((begin, end),))
        begin = end
    return [*windows, ((begin, pcm.size),)] if begin < pcm.size else windows


def _quietest(sound: NDArray[np.float32], middle: int, slack: int) -> int:
    """The middle of the quietest tenth of a second, at most `slack` samples from `middle`."""
    near = np.square(sound[middle - slack : middle + slack])
    power = near[: near.size // FRAME * FRAME].reshape(-1, FRAME).sum(axis=1)
    if power.size < PAUSE:
        return middle
    return middle - slack + (int(np.convolve(power, np.ones(PAUSE), "valid").argmin()) * 2 + PAUSE) * FRAME // 2


def _between(window: Spans, first: int, last: int) -> Iterable[Span]:
    """What lies in samples [first, last) of the window's sound, as spans of the audio."""
    at = 0
    for start, end in window:
        begin, stop = max(start, start + first - at), min(end, start + last - at)
        if begin < stop:
            yield begin, stop
        at += end - start


def without_slivers(windows: Sequence[Spans], pcm: Pcm, longest: int, farthest: int) -> list[Spans]:
    """The same, but a window of less than `SLIVER` is joined with the one before, and both are cut evenly.

    Not across a pause of more than `farthest` samples: what is alone there was said alone.
    """
    found: list[Spans] = []
    for window in windows:
        if found and length(window) < SLIVER and window[0][0] - found[-1][-1][1] <= farthest:
            found += evenly_cut((*found.pop(), *window), pcm, longest)
        else:
            found.append(window)
    return found


def length(spans: Iterable[Span]) -> int:
    """How many samples of speech that is."""
    return sum(end - start for start, end in spans)


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
