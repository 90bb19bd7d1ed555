"""What `sttd transcribe` makes of answers: lines on stdout, or one file each in a directory.

Imports schemas and sttd.subtitles. Never overwrites an input, and never leaves half a file under a result's name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, cast
from uuid import uuid4

from sttd import subtitles
from sttd.schemas.reply import Transcript
from sttd.subtitles import render

STDIN: Final = Path("-")


class Format(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"


DOCUMENTS: Final = frozenset({Format.SRT, Format.VTT, Format.TSV})
"""Formats that are one document per note, so that two of them on one stdout would be neither."""

SUFFIX: Final[Mapping[Format, str]] = {form: ".txt" if form is Format.TEXT else f".{form}" for form in Format}


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file: a transcript, or an error with its code."""

    file: str
    transcript: Transcript | None = None
    code: str = ""
    message: str = ""
    retryable: bool = False
    broker: bool = False

    def shown(self, form: Format, *, named: bool) -> str | None:
        """What goes to stdout; a failure has nothing there, but for JSON. Texts are named as grep does when there are several files."""
        if form is Format.JSON:
            return self.as_json()
        if self.transcript is None:
            return None
        text = render(self.transcript, cast("subtitles.Format", form.value))
        return f"{self.file}: {text}" if named else text

    def as_json(self) -> str:
        """One line of JSON: the reply as it came, and the file's name."""
        failure = {
            "status": "failed",
            "error": {"code": self.code, "message": self.message, "retryable": self.retryable},
        }
        said = self.transcript.model_dump(mode="json") if self.transcript else failure
        return json.dumps({"file": self.file, **said}, ensure_ascii=False)


def targets(files: Sequence[Path], directory: Path, form: Format) -> dict[Path, Path]:
    """Where each file's result goes: `note.ogg` -> `note.srt`, or `note.ogg.srt` where a name would be given twice."""
    stems = Counter("stdin" if file == STDIN else file.stem for file in files)
    taken = {file.resolve() for file in files}
    chosen: dict[Path, Path] = {}
    for file in files:
        for name in _names(file, ambiguous=stems[file.stem] > 1):
            target = directory / f"{name}{SUFFIX[form]}"
            if target.resolve() not in taken:
                break
        taken.add(target.resolve())
        chosen[file] = target
    return chosen


def _names(file: Path, *, ambiguous: bool) -> Iterator[str]:
    if file == STDIN:
        yield "stdin"
    elif not ambiguous:
        yield file.stem
    name = "stdin" if file == STDIN else file.name
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def write(outcome: FileOutcome, form: Format, target: Path) -> None:
    """Put one transcript into its file, whole or not at all. Raises `OSError`."""
    shown = outcome.shown(form, named=False)
    if outcome.transcript is None or shown is None:
        return
    draft = target.with_name(f".{uuid4()}")
    try:
        draft.write_text(f"{shown}\n" if shown else "", encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
