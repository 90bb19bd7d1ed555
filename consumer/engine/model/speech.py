"""Where speech is: faster-whisper's detector and its rules, over a piece of the sound at a time.

Its own function makes floats of a whole file, and copies: half a gigabyte for an hour. The spans are the same.
"""

import math
from collections.abc import Callable, Iterator
from types import FunctionType, SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sttd.consumer.engine.glue import Span
from sttd.consumer.pcm import SAMPLE_RATE, Pcm, floats

FRAME: Final = 512
CONTEXT: Final = 64
"""Samples before its own that the detector reads with each frame."""
PIECE: Final = 500
"""Frames at a time: 16 s."""

SHORT_SECONDS: Final = 2.0
AROUND_SECONDS: Final = 0.25
SHORT_THRESHOLD: Final = 0.35
"""Lower than the detector's own 0.5. Of 75 recorded words under a second all were above, with the silence around them;
56 short sounds without speech stayed below 0.2."""


class Detector:
    """Finds speech. Used by many threads at once."""

    def __init__(self, vad: Any) -> None:
        """`vad`: the module `faster_whisper.vad`."""
        self._vad = vad

    def spans(self, pcm: Pcm, longest: float = math.inf) -> list[Span]:
        """Spans of samples with speech; longer ones than `longest` seconds are cut at their last silence before that.

        A short note without speech gets a second look: the detector needs some sound before a word. A note of one word
        ("нет", 0.4 s) has none, so silence is put around it, and all of it counts.
        """
        found = self._find(pcm, self._vad.VadOptions(max_speech_duration_s=longest))
        if found or not 0 < pcm.size < SHORT_SECONDS * SAMPLE_RATE:
            return found
        quiet = np.zeros(int(AROUND_SECONDS * SAMPLE_RATE), pcm.dtype)
        again = self._find(np.concatenate([quiet, pcm, quiet]), self._vad.VadOptions(threshold=SHORT_THRESHOLD))
        return [(0, pcm.size)] if again else []

    def _find(self, pcm: Pcm, options: Any) -> list[Span]:
        rules = self._rules(_probabilities(self._vad.get_vad_model().session.run, pcm))
        return [(chunk["start"], chunk["end"]) for chunk in rules(pcm, options)]

    def _rules(self, probabilities: NDArray[np.float32]) -> Callable[[Pcm, Any], list[dict[str, int]]]:
        """faster-whisper's function, whose detector is a global of its module: the same code with another global."""
        own = self._vad.get_speech_timestamps
        given = {
            "get_vad_model": lambda: lambda _sound: probabilities,
            "np": SimpleNamespace(pad=lambda sound, _width: sound),  # it pads what only the detector reads
        }
        return FunctionType(own.__code__, vars(self._vad) | given, argdefs=own.__defaults__)


def _probabilities(run: Callable[..., Any], pcm: Pcm) -> NDArray[np.float32]:
    """The detector's answer for each frame, shape (frames,); its memory goes from piece to piece."""
    memory, carried = (np.zeros((1, 1, 128), np.float32) for _ in range(2))
    found = []
    for frames in _pieces(pcm):
        answers, memory, carried = run(None, {"input": frames, "h": memory, "c": carried})
        found.append(answers)
    return np.concatenate(found)


def _pieces(pcm: Pcm) -> Iterator[NDArray[np.float32]]:
    """The detector's input, shape (frames, context and frame)."""
    count = pcm.size // FRAME + 1  # faster-whisper fills the last frame up, or adds one of silence
    for start in range(0, count, PIECE):
        stop = min(start + PIECE, count)
        sound = np.zeros(CONTEXT + (stop - start) * FRAME, np.float32)
        begin = max(0, start * FRAME - CONTEXT)
        part = floats(pcm[begin : stop * FRAME])
        at = CONTEXT - (start * FRAME - begin)
        sound[at : at + part.size] = part
        if stop == count:
            sound[-CONTEXT:] = 0  # as faster-whisper does, which zeroes them in place
        yield np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(sound, CONTEXT + FRAME)[::FRAME])
