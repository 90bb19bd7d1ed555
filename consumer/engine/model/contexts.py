"""Short contexts: how much of a window that is mostly padding is encoded, and when that was not enough.

Sits between faster-whisper and the gate, so that each call that it makes waits for a slot like any other. A doubtful
result is computed again with all 30 s, and the window stays with those.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
import structlog

from sttd.consumer.engine.model import guards
from sttd.consumer.engine.model.language import SURE

Reason = Literal["unfinished", "empty", "improbable", "repetition", "late", "dense", "unsure"]

FRAMES: Final = 3000  # mel frames of a whole window; two make a position of the encoder's output
FRAMES_A_SECOND: Final = 100
TIMESTAMP_SECONDS: Final = 0.02

MARGIN: Final = 250
"""Frames of padding behind the audio that models fine-tuned for short contexts need: 2.5 s."""

TOKENS_A_SECOND: Final = 10
TOKENS_AT_LEAST: Final = 16
"""Of a short window: 25 letters a second in Russian. A loop ends there instead of at 224 tokens."""

LATE: Final = 1.0
"""Seconds that the last timestamp may lie behind the audio. Behind notes under 1.5 s it often lies 0.5 s, in full
windows too; with 1.0 no more words were wrong, and a quarter of their core time was saved."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Contexts:
    """Which windows are encoded short.

    Those with at most `longest` frames of audio, up to `margin` frames behind it: `least` frames and a number of `step`
    more. Few lengths, since a fine-tuned model was trained on few, and windows of one length are decoded together.
    """

    longest: int = 0
    margin: int = MARGIN
    least: int = 0
    step: int = 100

    def frames(self, audio: int) -> int:
        """How many of a window with so many frames of audio are encoded."""
        if audio > self.longest:
            return FRAMES
        steps = -(-max(audio + self.margin - self.least, 0) // self.step)
        return min(self.least + steps * self.step, FRAMES)

    def tokens(self, audio: int) -> int:
        """How many a window with so many frames of audio may have; equal for all that are encoded as long."""
        return TOKENS_AT_LEAST + TOKENS_A_SECOND * (self.frames(audio) - self.margin) // FRAMES_A_SECOND

    @property
    def short(self) -> bool:
        """Whether any window is."""
        return self.longest > 0


FULL: Final = Contexts()
"""Whole windows, as in faster-whisper."""

DYNAMIC: Final = Contexts(longest=FRAMES)
"""For models that were fine-tuned for it."""

SHORT: Final = Contexts(longest=2000, margin=500, least=1000, step=300)
"""For others: found on one half of the recorded voices and proven on the other (docs/benchmarks/accuracy.md)."""

CONTEXTS: Final = {"auto": None, "full": FULL, "short": SHORT, "dynamic": DYNAMIC}
"""By the setting's value; None: `MEASURED` decides."""

BASE: Final = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""Systran's `base`, by the SHA-256 of its `model.bin`."""

MEASURED: Final = {BASE: SHORT}
"""What was enough for a model."""


class Tokens(Protocol):
    """A `tokenizers.Tokenizer`, as far as it is needed."""

    def token_to_id(self, token: str) -> int | None: ...  # noqa: D102 - the library's own methods
    def decode(self, ids: Sequence[int]) -> str: ...  # noqa: D102


class Reruns:
    """How many windows were computed again with the full context, by reason. Counted by many threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, reason: Reason) -> None:
        """One more, with a log line."""
        with self._lock:
            self._counts[reason] += 1
        log.info(
            "part of a note was encoded again with the full context, for a better text: %s",
            reason,
            people=False,
            action="context_rerun",
            reason=reason,
        )

    def clear(self) -> None:
        """Forget those so far: the self-test's."""
        with self._lock:
            self._counts.clear()

    @property
    def counts(self) -> Mapping[str, int]:
        """By reason; a reason that never came is missing."""
        with self._lock:
            return dict(self._counts)


class _Window:
    """An encoded window. Its context is short until `widen`. Belongs to one thread at a time."""

    def __init__(self, short: Any, frames: int, full: Callable[[], Any]) -> None:
        """`short`: its beginning, encoded; `full()`: all of it, encoded; `frames`: of audio, without the padding."""
        self.context = short
        self.frames = frames
        self.is_short = True
        self._full = full

    def widen(self) -> None:
        """From now on the context is the full one."""
        self.context = self._full()
        self.is_short = False


class ShortContextModel:
    """What faster-whisper gets as `WhisperModel.model` when short contexts are on.

    Windows without padding pass unchanged.
    """

    def __init__(
        self, model: Any, contexts: Contexts, tokens: Tokens, view: Callable[[Any], Any], reruns: Reruns
    ) -> None:
        """Wrap a model.

        `model`: a `ctranslate2.models.Whisper` behind its gate; `view`: an array -> ctranslate2's `StorageView`,
        without a copy.
        """
        self._model = model
        self._contexts = contexts
        self._doubts = Doubts(tokens)
        self._view = view
        self._reruns = reruns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, features: Any, to_cpu: bool = False) -> Any:
        """Mel frames of one window, padded with zeros -> what the methods below take."""
        mel = np.asarray(features)
        audio = audio_frames(mel)
        wanted = self._contexts.frames(audio)
        if wanted == FRAMES or mel.shape != (1, mel.shape[1], FRAMES):
            return self._model.encode(features, to_cpu=to_cpu)
        short = self._model.encode(self._view(np.ascontiguousarray(mel[:, :, :wanted])), to_cpu=to_cpu)
        return _Window(short, audio, lambda: self._model.encode(features, to_cpu=to_cpu))

    def generate(self, features: Any, prompts: list[list[int]], **options: Any) -> Any:
        """One window -> its tokens, as ctranslate2 gives them."""
        if not (isinstance(features, _Window) and features.is_short):
            return self._model.generate(_context(features), prompts, **options)
        prompt, tokens = len(prompts[0]), self._contexts.tokens(features.frames)
        # ctranslate2 makes of `max_length` the smaller of its half and what the prompt leaves of it.
        few = {**options, "max_length": min(options["max_length"], max(2 * tokens, prompt + tokens))}
        results = self._model.generate(features.context, prompts, **few)
        reason = self._doubts.of(results[0], prompt, features.frames, few)
        if reason is None:
            return results
        self._widen(features, reason)
        return self._model.generate(features.context, prompts, **options)

    def detect_language(self, features: Any) -> Any:
        """One window -> the probability of each language, the most probable first."""
        results = self._model.detect_language(_context(features))
        if not (isinstance(features, _Window) and features.is_short) or results[0][0][1] >= SURE:
            return results
        self._widen(features, "unsure")
        return self._model.detect_language(features.context)

    def align(self, features: Any, *args: Any, **kwargs: Any) -> Any:
        """One window and its tokens -> when each was spoken."""
        return self._model.align(_context(features), *args, **kwargs)

    def _widen(self, window: _Window, reason: Reason) -> None:
        self._reruns.add(reason)
        window.widen()


class Doubts:
    """What makes a result of a short context doubtful.

    Stricter than the marks on segments: a second run costs only time.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._text_end = tokens.token_to_id("<|endoftext|>") or 0
        self._times = (tokens.token_to_id("<|notimestamps|>") or 0) + 1

    def of(self, result: Any, prompt: int, frames: int, options: Mapping[str, Any]) -> Reason | None:
        """The first reason, or None. `prompt`: its tokens; `frames`: of audio; `options`: those of `generate`."""
        said: list[int] = result.sequences_ids[0]
        seconds = frames / FRAMES_A_SECOND
        text = self._text(result)
        words = guards.normalized(text)
        longest = options["max_length"]
        if len(said) >= min(longest // 2, longest - prompt):  # ctranslate2's limits
            return "unfinished"
        if not words:
            return "empty"
        if result.scores[0] * len(said) ** options["length_penalty"] / (len(said) + 1) < guards.IMPROBABLE:
            return "improbable"
        if guards.compression(text) > guards.COMPRESSES or guards.says_twice(words.split()):
            return "repetition"
        if (max(said) - self._times) * TIMESTAMP_SECONDS > seconds + LATE:
            return "late"
        return "dense" if guards.too_dense(words, seconds) else None

    def words(self, result: Any) -> list[str]:
        """What it says, in small letters."""
        return guards.normalized(self._text(result)).split()

    def _text(self, result: Any) -> str:
        return self._tokens.decode([token for token in result.sequences_ids[0] if token < self._text_end]).strip()


def audio_frames(mel: Any) -> int:
    """Mel frames, shape (1, bands, frames), before the padding.

    The padding is exactly zero, and no sound is zero in all bands at once.
    """
    heard = np.flatnonzero(mel[0].any(axis=0))
    return int(heard[-1]) + 1 if heard.size else 0


def _context(features: Any) -> Any:
    return features.context if isinstance(features, _Window) else features
