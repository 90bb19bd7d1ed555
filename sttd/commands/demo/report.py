"""What the demo shows and how it judges: pure functions from outcomes to a table, to complaints, to a few counters.

No I/O.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from rich.table import Table
from rich.text import Text

from sttd.errors import SttdClientError
from sttd.samples import Sample
from sttd.schemas.reply import Transcript

BUNDLED: Final = "demo"

LONG_SECONDS: Final = 60
"""Of a note this long the bundled model must give some text only: it is tiny, and the demo is no benchmark."""

ALIKE: Final = 0.85
"""How much of a key's letters must be in a real model's text, by difflib's ratio."""

SHOWN_CHARACTERS: Final = 160

COUNTERS: Final = (
    "sttd_requests_received_total",
    "sttd_requests_finished_total",
    "sttd_no_speech_total",
    "sttd_audio_duration_seconds_sum",
)

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class SampleResult:
    """One sample, what came back, and after how many seconds."""

    sample: Sample
    answer: Transcript | SttdClientError
    seconds: float


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation, `ё` as `е`."""
    return _WORD.findall(text.casefold().replace("ё", "е"))


def complaint(heard: SampleResult, model: str) -> str | None:
    """What is not as in the manifest, or None.

    The bundled model must give every word. Of a real one each key must be there, in one of its spellings: a number may
    be in digits, and those must be right; words may differ by about one letter in seven, because texts differ a little
    from CPU to CPU. A note that is for the other model is shown and not judged.
    """
    expected = heard.sample.expect
    if isinstance(heard.answer, SttdClientError):
        return None if heard.answer.code == expected else f"expected {expected}, got {heard.answer.code}"
    if expected == "no_speech":
        return None if heard.answer.no_speech else "expected no speech, got text"
    if expected != "text":
        return f"expected {expected}, got a transcript"
    if not for_model(heard.sample, model):
        return None
    return _misread(heard.sample, heard.answer, model)


def for_model(sample: Sample, model: str) -> bool:
    """Whether the model is one that the note is for."""
    return not sample.only or (sample.only == BUNDLED) == (model == BUNDLED)


def _misread(sample: Sample, answer: Transcript, model: str) -> str | None:
    if not answer.text:
        return "expected text, got none"
    if model == BUNDLED:
        exact = answer.duration > LONG_SECONDS or words(answer.text) == words(sample.text)
        return None if exact else f"expected the words: {sample.text}"
    lacking = [spellings[0] for spellings in sample.keys if not any(_holds(answer.text, key) for key in spellings)]
    return f"the text lacks: {', '.join(lacking)}" if lacking else None


def _holds(text: str, key: str) -> bool:
    heard, wanted = words(text), words(key)
    sizes = range(max(1, len(wanted) - 1), len(wanted) + 2)
    parts = {" ".join(heard[start : start + size]) for size in sizes for start in range(len(heard))}
    whole = " ".join(wanted)
    if any(character.isdigit() for character in key):
        return whole in parts
    return any(SequenceMatcher(None, part, whole, autojunk=False).ratio() >= ALIKE for part in parts)


def table(results: Sequence[SampleResult], model: str) -> Table:
    """All notes, one row each. A note that is for the other model is marked."""
    grid = Table(title=f"Voice notes through RabbitMQ into the model {model} and back")
    grid.add_column("note", no_wrap=True)
    grid.add_column("language")
    grid.add_column("length", justify="right")
    grid.add_column("took", justify="right")
    grid.add_column("text", ratio=1)
    for heard in results:
        grid.add_row(heard.sample.file, *_facts(heard.answer), f"{heard.seconds:.2f} s", _text(heard, model))
    return grid


def _facts(answer: Transcript | SttdClientError) -> tuple[str, str]:
    if isinstance(answer, SttdClientError):
        return "", ""
    return answer.language, f"{answer.duration:.1f} s"


def _text(heard: SampleResult, model: str) -> Text:
    if isinstance(heard.answer, SttdClientError):
        if complaint(heard, model) is None:
            return Text(f"{heard.answer.code}, on purpose: {heard.sample.title.lower()}", style="dim")
        return Text(heard.answer.code, style="red")
    text = Text("— no speech —", style="dim") if heard.answer.no_speech else Text(_shortened(heard.answer.text))
    if not for_model(heard.sample, model):
        text.append(f"  (a note for {heard.sample.only})", style="dim")
    return text if complaint(heard, model) is None else text.append("  ✗", style="red")


def _shortened(text: str) -> str:
    """A long note would fill the screen."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{textwrap.shorten(text, SHOWN_CHARACTERS, placeholder=' …')} ({len(words(text))} words in all)"


def counters(metrics: str) -> list[str]:
    """The lines of a metrics page that the demo's notes have moved."""
    moved = (line for line in metrics.splitlines() if line.startswith(COUNTERS))
    return [line for line in moved if not line.endswith(" 0.0")]
