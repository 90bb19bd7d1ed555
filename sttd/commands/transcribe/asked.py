"""What `sttd transcribe` can be asked for: one type for each argument and option, with its help and its check."""

import os
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer
from pydantic import ValidationError

from sttd.commands.transcribe import inputs
from sttd.commands.transcribe.output import Format
from sttd.schemas.options import LONGEST_CALLER, Doubtful, NumeralForm, TranscriptionOptions

BY_DAEMON: Final = "(default: the daemon's setting)"


def _known_language(value: str | None) -> str | None:
    try:
        return TranscriptionOptions(language=value).language
    except ValidationError:
        raise typer.BadParameter(f"{value!r} is neither a Whisper language code (ru, en, de ...) nor `auto`") from None


def _short_caller(value: str | None) -> str | None:
    try:
        return TranscriptionOptions(caller=value).caller
    except ValidationError:
        raise typer.BadParameter(f"a caller's key is text of at most {LONGEST_CALLER} bytes in UTF-8") from None


def _directory(value: Path | None) -> Path | None:
    if value is not None:
        try:
            value.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(f"{value}: {error.strerror}") from None
        if not os.access(value, os.W_OK | os.X_OK):
            raise typer.BadParameter(f"{value} may not be written by this user")
    return value


Files: TypeAlias = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE", parser=inputs.named, callback=inputs.readable, help="Audio files; `-` reads one from stdin."
    ),
]
Language: TypeAlias = Annotated[
    str | None,
    typer.Option("--language", "-l", callback=_known_language, help=f"Spoken language, or `auto`. {BY_DAEMON}"),
]
Form: TypeAlias = Annotated[
    Format,
    typer.Option(
        "--format",
        "-f",
        help="`text`: one line per file, with its name if there are several. `json`: the reply, one line per file. "
        "`srt`, `vtt`: subtitles. `tsv`: start and end in milliseconds, text.",
    ),
]
Words: TypeAlias = Annotated[bool, typer.Option("--words", "-w", help="Ask for the time of each word (in `json`).")]
Numerals: TypeAlias = Annotated[
    NumeralForm | None, typer.Option(help=f"Write numbers in `digits`, in `words`, or `as_heard`. {BY_DAEMON}")
]
DoubtfulText: TypeAlias = Annotated[
    Doubtful | None, typer.Option(help=f"`drop` leaves out what was most probably not said. {BY_DAEMON}")
]
Caller: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--caller",
        metavar="NAME",
        callback=_short_caller,
        help="Whom the files are for, such as a chat's id or `import`. Daemons serve callers by turns, so that many "
        "files of one name hold up nobody else. (default: no name; all requests without one are one caller)",
    ),
]
Output: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        callback=_directory,
        help="Write each result into this directory, named after its file.",
    ),
]
Timeout: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        max=86_400,
        help="Seconds that one file may take. (default: STTD_TIMEOUT, else 300 to 1500 by its size)",
    ),
]
Queue: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Request queue; `stt.requests.bulk` lets interactive notes go first. "
        "(default: STTD_REQUEST_QUEUE, or stt.requests)"
    ),
]
