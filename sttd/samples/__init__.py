"""The sample voice notes that come with the package, for demos and tests: what each is and what must come back.

Imports the standard library only; makes nothing (tools/samples.py did).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

FOLDER: Final = Path(str(resources.files(__name__)))


@dataclass(frozen=True, slots=True)
class Sample:
    """One voice note. `expect`: `text`, `no_speech`, or the code of the failure; `text`: what is spoken in it."""

    file: str
    title: str
    language: str
    expect: str
    text: str

    @property
    def path(self) -> Path:
        """Where the file is."""
        return FOLDER / self.file


def samples() -> tuple[Sample, ...]:
    """All samples, in the order in which a demo shows them."""
    entries = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    return tuple(Sample(**{field: entry[field] for field in Sample.__dataclass_fields__}) for entry in entries)
