"""A transcript as text, JSON, SubRip, WebVTT or a table, for the command line and the gateway.

Pure: no I/O, no HTTP; leaves no word out, whatever signs it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Final, Literal, TypeAlias

from pysubs2 import SSAEvent, SSAFile

from sttd.schemas.reply import Segment, Transcript

Format: TypeAlias = Literal["text", "json", "srt", "vtt", "tsv"]

_WORD_JOINER: Final = "\u2060"
"""No width: parts signs that a format would take for a command, and the text still looks the same."""


def render(transcript: Transcript, format: Format) -> str:  # noqa: A002 - the field's own name
    """The transcript in this format; never ends in a line feed.

    `text`: the text, on one line. `json`: the reply as it came, on one line. `srt`, `vtt`: one cue per segment. `tsv`:
    head `start`, `end`, `text`, then one line per segment, times in milliseconds. Silence gives an empty text, or no
    cue at all.
    """
    return _RENDERERS[format](transcript).rstrip("\n")


def _text(transcript: Transcript) -> str:
    return _one_line(transcript.text)


def _json(transcript: Transcript) -> str:
    return transcript.model_dump_json()


def _srt(transcript: Transcript) -> str:
    return _cues(transcript, "srt", lambda text: text.replace("-->", f"--{_WORD_JOINER}>"))


def _vtt(transcript: Transcript) -> str:
    return _cues(transcript, "vtt", lambda text: escape(text, quote=False))


def _tsv(transcript: Transcript) -> str:
    rows = [f"{start}\t{end}\t{text}" for start, end, text in _lines(transcript.segments)]
    return "\n".join(["start\tend\ttext", *rows])


def _cues(transcript: Transcript, name: str, encode: Callable[[str], str]) -> str:
    file = SSAFile()
    for start, end, text in _lines(transcript.segments):
        # pysubs2 works in SubStation: \N is a line break there and {\p1} a drawing, which has no text.
        plain = encode(text).replace("\\", f"\\{_WORD_JOINER}")
        file.append(SSAEvent(start=start, end=max(end, start + 1), text=plain))
    return file.to_string(name, keep_ssa_tags=True)


def _lines(segments: list[Segment]) -> Iterator[tuple[int, int, str]]:
    """Start and end in milliseconds, and the words on one line; segments without a word are no cue."""
    for segment in segments:
        if text := _one_line(segment.text):
            yield round(segment.start * 1000), round(segment.end * 1000), text


def _one_line(text: str) -> str:
    """A line feed or a tab within a cue would end it."""
    return re.sub(r"\s+", " ", text).strip()


_RENDERERS: Final[Mapping[str, Callable[[Transcript], str]]] = {
    "text": _text,
    "json": _json,
    "srt": _srt,
    "vtt": _vtt,
    "tsv": _tsv,
}
