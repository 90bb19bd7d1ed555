"""The model for one transcription: its first encoding may be known, and a rest too short for a word is not decoded.

A short window often ends its text a little before the audio's end. faster-whisper then transcribes the rest, some
tenths of a second and padding, in which `base` reads "Редактор субтитров" and its like (issue 17). The window before
has heard that rest already.
"""

from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from sttd.consumer.engine.model.contexts import FRAMES, audio_frames

REST: Final = 100
"""Mel frames, 1 s: a rest shorter than this is not decoded again."""

NOTHING: Final = SimpleNamespace(sequences_ids=[[]], scores=[0.0], no_speech_prob=1.0)
"""In place of a rest that is not decoded, and its result."""
_NO_WORDS: Final = SimpleNamespace(alignments=[], text_token_probs=[])


class OneSound:
    """What faster-whisper gets as `WhisperModel.model` for one sound. Belongs to one thread."""

    def __init__(self, model: Any, first: Any = None, *, rests: bool = True) -> None:
        """`first`: the first window, encoded, if it is known; `rests`: short ones are decoded too, as stock does."""
        self._model = model
        self._first = first
        self._rests = rests
        self._heard_all = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, features: Any, *args: Any, **kwargs: Any) -> Any:
        """Mel frames of one window -> what the methods below take."""
        if not self._rests and self._is_heard_rest(features):
            return NOTHING
        known, self._first = self._first, None
        return self._model.encode(features, *args, **kwargs) if known is None else known

    def _is_heard_rest(self, features: Any) -> bool:
        audio, heard_all = audio_frames(np.asarray(features)), self._heard_all
        self._heard_all = audio < FRAMES
        return heard_all and audio < REST

    def generate(self, features: Any, *args: Any, **kwargs: Any) -> Any:
        """One window -> its tokens."""
        return [NOTHING] if features is NOTHING else self._model.generate(features, *args, **kwargs)

    def align(self, features: Any, *args: Any, **kwargs: Any) -> Any:
        """One window and its tokens -> when each was spoken."""
        return [_NO_WORDS] if features is NOTHING else self._model.align(features, *args, **kwargs)
