"""The sample voice notes that come with the package, for demos and tests: what each is and its expected result.

Makes nothing (tools/samples.py did).
"""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(str(resources.files(__name__)))


@dataclass(frozen=True, slots=True)
class Sample:
    """One voice note.

    `expect`: `text`, `no_speech`, or the code of the failure; `text`: what is spoken in it. `keys`: what a real model's
    text must hold, each in one of its spellings; the bundled model gives `text` word for word. `only`: the one model
    that the note is for (`demo`, or `base` for every real one), or empty: both read it.
    """

    file: str
    title: str
    language: str
    expect: str
    text: str
    keys: tuple[tuple[str, ...], ...] = ()
    only: str = ""

    @property
    def path(self) -> Path:
        """Where the file is."""
        return FOLDER / self.file


def samples() -> tuple[Sample, ...]:
    """All samples, in the order in which a demo shows them."""
    entries = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    return tuple(_sample(entry) for entry in entries)


def _sample(entry: dict[str, Any]) -> Sample:
    keys = tuple(tuple(spellings) for spellings in entry.get("keys", ()))
    return Sample(
        entry["file"], entry["title"], entry["language"], entry["expect"], entry["text"], keys, entry.get("only", "")
    )
