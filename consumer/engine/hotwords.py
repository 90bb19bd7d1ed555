"""The operator's words: names and terms that each request gets unless it names its own. Never asks a model.

The file has one name or term a line. Those below `[ru]` are for Russian, those before any such line for all languages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from sttd.consumer.errors import SettingsError
from sttd.schemas import languages

EVERY: Final = ""
"""In place of a language: the words of all."""

MOST_BYTES: Final = 100_000
"""A hundred languages with as many names as fit into a prompt."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hotwords:
    """Names and terms by language code, and under `EVERY` those of all languages."""

    terms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def text(self, language: str) -> str | None:
        """What a text in this language is told beforehand; those of the language come first. None: nothing.

        Full stops part them: after commas `base` doubles short answers ("консоль, консоль"), after spaces it leaves
        punctuation out.
        """
        terms = dict.fromkeys([*self.terms.get(language, ()), *self.terms.get(EVERY, ())])
        return " ".join(f"{term}." for term in terms) or None

    def warn_of_cut(self, fits: Callable[[str], bool]) -> None:
        """Log for which languages `fits`, the model's, does not take them all."""
        for language in self.terms:
            if not fits(self.text(language) or ""):
                log.warning(
                    "the hotwords of %s are longer than the model's prompt: the last ones are not used",
                    language or "all languages",
                    action="hotwords_cut",
                    language=language,
                )


def read(listed: str, file: Path | None) -> Hotwords:
    """The words of both settings.

    `listed`: comma-separated, for all languages. Raises `SettingsError` with the line that must change, never with its
    words.
    """
    found = {EVERY: [term for part in listed.split(",") if (term := " ".join(part.split()))]}
    for language, term in _of_file(file) if file else ():
        found.setdefault(language, []).append(term)
    return Hotwords({language: tuple(terms) for language, terms in found.items() if terms})


def _of_file(file: Path) -> list[tuple[str, str]]:
    """(language, term) of each line. Raises `SettingsError`."""
    language, found = EVERY, []
    for number, line in enumerate(_text(file).splitlines(), 1):
        term = " ".join(line.partition("#")[0].split())
        if term.startswith("[") and term.endswith("]"):
            language = _code(term[1:-1], number)
        elif term:
            found.append((language, term))
    return found


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise SettingsError(f"STTD_HOTWORDS_FILE: larger than {MOST_BYTES} bytes")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"STTD_HOTWORDS_FILE: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise SettingsError("STTD_HOTWORDS_FILE: must be UTF-8") from None


def _code(tag: str, number: int) -> str:
    try:
        return languages.code(tag.strip())
    except ValueError:
        raise SettingsError(f"STTD_HOTWORDS_FILE: line {number}: no Whisper language code in brackets") from None
