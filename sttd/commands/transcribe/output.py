"""What `sttd transcribe` makes of answers: lines on stdout, or one file each in a directory.

Never overwrites an input, and never leaves half a file under a result's name.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, count
from pathlib import Path
from typing import Final, cast
from uuid import uuid4

from sttd import subtitles
from sttd.commands.terminal import harmless
from sttd.commands.transcribe.inputs import STDIN, whole
from sttd.schemas.reply import Transcript
from sttd.subtitles import render


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
    """What became of one file: a transcript, or an error with its code; both where it could not be written."""

    file: str
    transcript: Transcript | None = None
    code: str = ""
    message: str = ""
    retryable: bool = False
    broker: bool = False

    def shown(self, form: Format, *, named: bool, ascii_only: bool = False) -> str | None:
        """What goes to stdout; of a failure only JSON. `named`: as grep names the lines of several files.

        `ascii_only`: of JSON, whose letters can all be escaped.
        """
        if form is Format.JSON:
            return self.as_json(ascii_only=ascii_only)
        if self.transcript is None:
            return None
        text = render(self.transcript, cast("subtitles.Format", form.value))
        return f"{harmless(self.file)}: {text}" if named else text

    def as_json(self, *, ascii_only: bool = False) -> str:
        """One line of JSON: the reply as it came, and the file's name."""
        failure = {
            "status": "failed",
            "error": {"code": self.code, "message": self.message, "retryable": self.retryable},
        }
        said = self.transcript.model_dump(mode="json") if self.transcript else failure
        return json.dumps({"file": self.file, **said}, ensure_ascii=ascii_only)


def targets(files: Sequence[Path], directory: Path, form: Format) -> dict[Path, Path]:
    """Where each file's result goes: `note.ogg` -> `note.srt`.

    Where two would share a name it grows until it tells them apart: `note.ogg.srt`, then `folder-note.ogg.srt`.
    `files`: each once.
    """
    labels = {file: list(dict.fromkeys(_labels(file))) for file in files}
    uses = Counter(label for mine in labels.values() for label in mine)
    taken = {file.resolve() for file in files}
    chosen: dict[Path, Path] = {}
    for file, mine in labels.items():
        numbered = (f"{mine[-1]}-{number}" for number in count(2))
        for name in chain((label for label in mine if uses[label] == 1), numbered):
            target = directory / f"{name}{SUFFIX[form]}"
            if target.resolve() not in taken:
                break
        taken.add(target.resolve())
        chosen[file] = target
    return chosen


def _labels(file: Path) -> Iterator[str]:
    """Names for a file's result, each longer than the one before."""
    if file == STDIN:
        yield "stdin"
        return
    yield file.stem
    name = file.name
    yield name
    for parent in whole(file).parents:
        if parent.name:
            name = f"{parent.name}-{name}"
            yield name


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
