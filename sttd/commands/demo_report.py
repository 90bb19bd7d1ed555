"""What the demo shows and how it judges: pure functions from outcomes to a table, to complaints, to a few counters.

Imports rich, schemas and sttd; no I/O.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.table import Table
from rich.text import Text

from sttd.errors import SttdClientError
from sttd.samples import Sample
from sttd.schemas.reply import Transcript

LONG_SECONDS: Final = 60
"""Of a note this long only some text is required: the bundled model is tiny, and the demo is no benchmark."""

SHOWN_CHARACTERS: Final = 160

COUNTERS: Final = (
    "sttd_requests_received_total",
    "sttd_requests_finished_total",
    "sttd_no_speech_total",
    "sttd_audio_duration_seconds_sum",
)

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Heard:
    """One sample, what came back, and after how many seconds."""

    sample: Sample
    answer: Transcript | SttdClientError
    seconds: float


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return _WORD.findall(text.casefold())


def complaint(heard: Heard) -> str | None:
    """What is not as the manifest says, or None."""
    expected = heard.sample.expect
    if isinstance(heard.answer, SttdClientError):
        return None if heard.answer.code == expected else f"expected {expected}, got {heard.answer.code}"
    if expected == "no_speech":
        return None if heard.answer.no_speech else "expected no speech, got text"
    if expected != "text":
        return f"expected {expected}, got a transcript"
    if heard.answer.duration > LONG_SECONDS:
        return None if heard.answer.text else "expected text, got none"
    return None if words(heard.answer.text) == words(heard.sample.text) else f"expected the words: {heard.sample.text}"


def table(results: Sequence[Heard]) -> Table:
    """All notes, one row each."""
    grid = Table(title="Voice notes through RabbitMQ into the model and back")
    grid.add_column("note", no_wrap=True)
    grid.add_column("language")
    grid.add_column("length", justify="right")
    grid.add_column("took", justify="right")
    grid.add_column("text", ratio=1)
    for heard in results:
        grid.add_row(heard.sample.file, *_facts(heard.answer), f"{heard.seconds:.2f} s", _text(heard))
    return grid


def _facts(answer: Transcript | SttdClientError) -> tuple[str, str]:
    if isinstance(answer, SttdClientError):
        return "", ""
    return answer.language, f"{answer.duration:.1f} s"


def _text(heard: Heard) -> Text:
    if isinstance(heard.answer, SttdClientError):
        return Text(heard.answer.code, style="red")
    text = Text("— no speech —", style="dim") if heard.answer.no_speech else Text(_shortened(heard.answer.text))
    return text if complaint(heard) is None else text.append("  ✗", style="red")


def _shortened(text: str) -> str:
    """A long note would fill the screen."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{textwrap.shorten(text, SHOWN_CHARACTERS, placeholder=' …')} ({len(words(text))} words in all)"


def counters(metrics: str) -> list[str]:
    """The lines of a metrics page that the demo's notes have moved."""
    moved = (line for line in metrics.splitlines() if line.startswith(COUNTERS))
    return [line for line in moved if not line.endswith(" 0.0")]
