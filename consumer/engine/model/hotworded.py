"""The model for a sound with hotwords in its prompt: a window that goes wrong with them is decoded again without.

A list of names in the prompt can make the decoder loop, move its timestamps or answer with the list (issue 17).
"""

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol

import numpy as np
import structlog

from sttd.consumer.engine.model import guards
from sttd.consumer.engine.model.contexts import FRAMES, Doubts, Reason, Tokens, audio_frames
from sttd.consumer.engine.model.one_sound import NOTHING

THRICE: Final = 3
"""One word so often in a row: a list makes lists ("часов" became "Чисоф, Чисоф, Чисоф")."""

ECHO: Final = 4
"""So many words in the list's own order, more than one of its terms: the list was written, not what was said."""

log = structlog.get_logger(__name__)


class Vocabulary(Tokens, Protocol):
    """A `tokenizers.Tokenizer`, as far as it is needed."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Any: ...  # noqa: D102 - the library's own method


class HotwordedModel:
    """What faster-whisper gets as `WhisperModel.model` where a sound has hotwords. Belongs to one thread."""

    def __init__(self, model: Any, tokens: Vocabulary, hotwords: str, longest: int) -> None:
        """Wrap a model.

        `model`: as it is without them; `tokens`: the model's; `hotwords`: terms, parted by full stops or spaces;
        `longest`: tokens of prompt and text together, half of them for the prompt.
        """
        self._model = model
        self._most = longest // 2 - 1
        self._count = min(len(tokens.encode(f" {hotwords.strip()}", add_special_tokens=False)), self._most)
        self._tokens = tokens
        self._doubts = Doubts(tokens)
        self._start = tokens.token_to_id("<|startoftranscript|>")
        self._echo = Echo(hotwords)
        self._frames = FRAMES
        self._without = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, features: Any, *args: Any, **kwargs: Any) -> Any:
        """A new window: the hotwords get another chance."""
        self._frames, self._without = audio_frames(np.asarray(features)), False
        return self._model.encode(features, *args, **kwargs)

    def generate(self, features: Any, prompts: list[list[int]], **options: Any) -> Any:
        """One window -> its tokens. What went wrong once stays without hotwords, at higher temperatures too."""
        if features is NOTHING:  # empty on purpose, not by the hotwords' fault
            return self._model.generate(features, prompts, **options)
        prompts = [self._fitting(prompt) for prompt in prompts]
        if not self._without:
            results = self._model.generate(features, prompts, **options)
            harm = self._harm(results[0], len(prompts[0]), options)
            if harm is None:
                return results
            log.info("a window went wrong with hotwords, once more without: %s", harm, action="hotwords", reason=harm)
            self._without = True
        return self._model.generate(features, [self._bare(prompt) for prompt in prompts], **options)

    def _harm(self, result: Any, prompt: int, options: Any) -> Reason | Literal["echo"] | None:
        """Why the result is not to be trusted, or None. `prompt`: its tokens."""
        if doubt := self._doubts.of(result, prompt, self._frames, options):
            return doubt
        words = self._doubts.words(result)
        if doubled(words) or any(len({*run}) == 1 for run in _runs(words, THRICE)):
            return "repetition"
        return "echo" if self._echo.is_in(words) else None

    def _fitting(self, prompt: list[int]) -> list[int]:
        """Leave out the oldest of the text before where it and the hotwords are too long together.

        faster-whisper bounds each by itself: the two can be longer than the model's positions, an error of ctranslate2.
        """
        excess = self._before(prompt) - 1 - self._most
        words = 1 + self._count
        return prompt if excess <= 0 else [*prompt[:words], *prompt[words + excess :]]

    def _bare(self, prompt: list[int]) -> list[int]:
        """Without the hotwords; the text before them, such as the request's own prompt, stays."""
        start = self._before(prompt)
        text = prompt[1 + self._count : start]
        return [*prompt[:1], *text, *prompt[start:]] if text else prompt[start:]

    def _before(self, prompt: list[int]) -> int:
        """How many tokens stand before the start of the transcript."""
        return prompt.index(self._start) if self._start in prompt else 0


def doubled(words: Sequence[str]) -> bool:
    """Whether the whole text is one thing said twice ("консоль консоль")."""
    half = len(words) // 2
    return half > 0 and list(words[:half]) == list(words[half:])


class Echo:
    """Finds the list of hotwords in a text."""

    def __init__(self, hotwords: str) -> None:
        """`hotwords`: terms, parted by full stops or commas, or by spaces where there is neither."""
        terms = [words for term in re.split("[.,;]", hotwords) if (words := guards.normalized(term).split())]
        self._size = max(ECHO, *(len(term) + 1 for term in terms)) if terms else ECHO
        self._runs = {*_runs([word for term in terms for word in term], self._size)}

    def is_in(self, words: Sequence[str]) -> bool:
        """Whether the text has a part of the list that is longer than any term."""
        return not self._runs.isdisjoint(_runs(words, self._size))


def _runs(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
