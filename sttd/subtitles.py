"""A transcript as text, SubRip, WebVTT or a table, for the command line and the gateway.

Pure: no I/O, no HTTP; leaves no word out, whatever signs it holds.
"""

from collections.abc import Callable
from html import escape
from typing import Final, Literal, TypeAlias

from pysubs2 import SSAEvent, SSAFile

from sttd.cues import cues, one_line
from sttd.schemas.reply import Transcript

Format: TypeAlias = Literal["text", "srt", "vtt", "tsv"]

_WORD_JOINER: Final = "\u2060"
"""No width: parts signs that a format would take for a command, and the text still looks the same."""


def render(transcript: Transcript, format: Format) -> str:  # noqa: A002 - the field's own name
    """The transcript in this format; never ends in a line feed.

    `text`: the text, on one line. `srt`, `vtt`: cues of at most 7 s and two lines of 42 characters. `tsv`: head
    `start`, `end`, `text`, then one line per segment, times in milliseconds. Silence gives an empty text, or no cue at
    all.
    """
    match format:
        case "text":
            return one_line(transcript.text)
        case "tsv":
            return _tsv(transcript)
        case "srt":
            return _cues(transcript, "srt", lambda text: text.replace("-->", f"--{_WORD_JOINER}>"))
        case "vtt":
            return _cues(transcript, "vtt", lambda text: escape(text, quote=False))


def _tsv(transcript: Transcript) -> str:
    rows = [
        f"{round(segment.start * 1000)}\t{round(segment.end * 1000)}\t{text}"
        for segment in transcript.segments
        if (text := one_line(segment.text))
    ]
    return "\n".join(["start\tend\ttext", *rows])


def _cues(transcript: Transcript, name: str, encode: Callable[[str], str]) -> str:
    file = SSAFile()
    for cue in cues(transcript.segments, transcript.duration):
        # pysubs2 works in SubStation: \N is a line break there and {\p1} a drawing, which has no text.
        lines = [encode(line).replace("\\", f"\\{_WORD_JOINER}") for line in cue.lines]
        file.append(SSAEvent(start=cue.start, end=cue.end, text="\\N".join(lines)))
    return file.to_string(name, keep_ssa_tags=True).rstrip("\n")
