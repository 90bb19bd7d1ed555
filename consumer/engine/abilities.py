"""What an engine can do, and what becomes of a request that asks for more. Pure; knows no engine by name.

The rule (docs/engines.md): what would change the meaning of the answer is refused; what only guides the search for
words is ignored, and the reply names it.
"""

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from sttd.consumer.errors import RequestFailed
from sttd.schemas import languages
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions

FEW: Final = 3
"""So many languages are named in a refusal."""

Hint = Literal["initial_prompt", "hotwords", "beam_size", "temperature"]
"""Options that guide the search for words; an engine may have no use for them."""

HINTS: Final[tuple[Hint, ...]] = ("initial_prompt", "hotwords", "beam_size", "temperature")


class Demand(Protocol):
    """What a request asks of an engine, with the daemon's defaults."""

    @property
    def language(self) -> str: ...  # noqa: D102 - the options' own names
    @property
    def languages(self) -> tuple[str, ...] | None: ...  # noqa: D102
    @property
    def task(self) -> str: ...  # noqa: D102
    @property
    def word_timestamps(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What one engine can do with the model that it has loaded.

    `engine`, `model`: their names, for people; `languages`: codes that it writes; `translates`: into English; `hints`:
    options that it uses; `word_times`: whether its texts have them.
    """

    engine: str
    model: str
    languages: frozenset[str]
    translates: bool
    hints: frozenset[Hint]
    word_times: bool

    def knows(self, code: str) -> bool:
        """Whether it can write this language; `auto` always."""
        return code == languages.AUTO or code in self.languages

    def refuse(self, asked: Demand) -> None:
        """Raise `RequestFailed` with `bad_request` for what this engine cannot do."""
        detect = asked.language == languages.AUTO
        wanted = (asked.languages or ()) if detect else (asked.language,)
        if wanted and not any(self.knows(code) for code in wanted):
            told = f"does not support {', '.join(wanted)}{self._instead}"
            raise self._refusal("languages" if detect else "language", told)
        if asked.task == "translate" and not self.translates:
            raise self._refusal("task", "does not translate; ask for transcribe")
        if asked.word_timestamps and not self.word_times:
            raise self._refusal("word_timestamps", "gives no times of words; leave the option out")

    @property
    def _instead(self) -> str:
        return f"; ask for {', '.join(sorted(self.languages))}" if len(self.languages) <= FEW else ""

    def _refusal(self, option: str, what: str) -> RequestFailed:
        model = self.model.rstrip("/").rpartition("/")[2]  # a caller need not know the operator's directories
        step = ", or send the request to the queue of another engine"
        return RequestFailed(
            ErrorCode.BAD_REQUEST, f"{option}: the engine {self.engine} with the model {model} {what}{step}"
        )

    def ignored(self, asked: TranscriptionOptions) -> list[str]:
        """The options of a request that change nothing here. An empty text asks for nothing."""
        return [name for name in HINTS if name not in self.hints and getattr(asked, name) not in {None, ""}]
