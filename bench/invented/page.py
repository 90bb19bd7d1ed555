"""docs/benchmarks/invented.md from the answers. Pure but for the detector, which is given."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jiwer

from bench.accuracy.engines import SEGMENT_FIGURES
from bench.accuracy.modes import Note
from bench.accuracy.results import Place, Result
from bench.invented.corpus import MURMUR, NO_SPEECH, SPEECH
from sttd.commands.bench.paired import share
from sttd.consumer.engine.glue import Span
from sttd.consumer.engine.model import guards
from sttd.schemas.reply import Segment
from tools.word_errors import words

SECONDS: Final = 60
WIDEST: Final = 118
HUMAN: Final = "recorded sentences"
TITLES: Final = {HUMAN: HUMAN, "faint": "at -50 dB", "cut": "begins and ends inside a word", "sliver": "30.3 to 32 s"}

Voices = Callable[[Note], Sequence[Span]]
"""Where a detector hears speech in a note."""

NONE: Final = 3.0
"""Where none was found, fewer than so many are to be expected, with a probability of 95 %."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an engine wrote for one note: all segments, with flags, and those that `doubtful: drop` keeps."""

    note: Note
    all: Sequence[Segment]
    kept: Sequence[Segment]

    @classmethod
    def of(cls, note: Note, result: Result, voices: Voices | None) -> "Told":
        """`voices`: None where the engine has heard only what the detector took for speech."""
        marked = guards.marked([_segment(number, raw) for number, raw in enumerate(result["segments"])])
        kept, _ = guards.parted(marked, None if voices is None or not marked else voices(note))
        return cls(note, marked, kept)


Ways = Callable[[Told], Sequence[Segment]]
"""Which segments of a note count."""


def page(
    chosen: Mapping[str, Sequence[Note]],
    found: Mapping[str, Mapping[Place, Result]],
    titles: Mapping[str, str],
    voices: Voices,
    head: Mapping[str, Any],
) -> str:
    """The whole page."""
    told = {
        name: [
            Told.of(note, found[name][note.set, note.name], voices if name.endswith("no-vad") else None)
            for note in notes
            if (note.set, note.name) in found[name]
        ]
        for name, notes in chosen.items()
    }
    rows = [row for name in told for row in _invented(name, titles[name], told[name], told["ours"])]
    return "\n".join([*_head(head), *_TABLE, *rows, "", *textwrap.wrap(_dropped(told["ours"]), WIDEST), ""])


def _segment(number: int, raw: Sequence[Any]) -> Segment:
    figures = dict(zip(SEGMENT_FIGURES, raw, strict=False))
    return Segment(id=number, text=raw[-1], **figures)


def _head(head: Mapping[str, Any]) -> Iterator[str]:
    yield from (
        "# Nothing invented",
        "",
        "How many words a minute are written where nobody speaks: silence, hum, noises, tones, ringing lines, breath,",
        "clicks, music, choir, keyboard. Notes have 1 to 32 s and -20 to -50 dB, half with `ru`, half with `auto`.",
        "*Stock* is faster-whisper with its own defaults, without voice detection. *Murmur* is five people at once,",
        "played backwards. Brackets: 95 % interval, notes drawn again 4,000 times; where no word was found, how many",
        "are still likely.",
        "",
        *textwrap.wrap(
            f"- {head['date']}; {head['machine']['cpu']}; {head['model']} `{head['sha256'][:12]}`. {head['remark']}",
            WIDEST,
            subsequent_indent="  ",
        ),
        "",
    )


_TABLE: Final = (
    "| engine | minutes | words a minute | sttd on the same notes | minutes of murmur | words a minute |",
    "| --- | --- | --- | --- | --- | --- |",
)


def _invented(name: str, title: str, told: Sequence[Told], ours: Sequence[Told]) -> Iterator[str]:
    ways: dict[str, Ways] = {title: lambda one: one.all}
    if name.startswith("ours"):
        ways[f"{title}, `drop`"] = lambda one: one.kept
    sounds, murmur = ([one for one in told if one.note.set == kind] for kind in (NO_SPEECH, MURMUR))
    names = {one.note.name for one in sounds}
    same = [one for one in ours if one.note.set == NO_SPEECH and one.note.name in names]
    there = "" if name == "ours" or not same else rate(same, lambda one: one.all)
    for heading, segments in ways.items() if sounds else ():
        cells = [heading, f"{_minutes(sounds):.0f}", rate(sounds, segments), there]
        cells += [f"{_minutes(murmur):.1f}", rate(murmur, segments)] if murmur else ["", ""]
        yield f"| {' | '.join(cells)} |"


def rate(told: Sequence[Told], segments: Ways) -> str:
    """Words a minute with their 95 % interval, notes drawn again; of none the most that fits to it."""
    counts = [_count(segments(one)) for one in told]
    if not any(counts):
        return f"0 (at most {NONE / _minutes(told):.2g})"
    figure = share(counts, [round(one.note.seconds * 1000) for one in told])
    value, low, high = (part * 1000 * SECONDS for part in (figure.value, figure.low, figure.high))
    return f"{value:.1f} ({low:.1f}-{high:.1f})"


def _dropped(told: Sequence[Told]) -> str:
    """What `drop` takes from human speech that was heard with voice detection."""
    groups = {HUMAN: [one for one in told if one.note.set not in {NO_SPEECH, MURMUR, *SPEECH}]}
    groups |= {name: [one for one in told if one.note.set == name] for name in SPEECH}
    shares = []
    for name, own in groups.items():
        right = sum(_right(one.note, one.all) for one in own)
        left = sum(_right(one.note, one.kept) for one in own)
        if right:
            shares.append(f"{TITLES[name]} {right - left} of {right} words")
    return f"`drop` takes from what was heard right of human speech: {'; '.join(shares)}."


def _right(note: Note, segments: Sequence[Segment]) -> int:
    """How many words of the script are in the text."""
    said = words(note.text, note.language)
    heard = words("".join(segment.text for segment in segments), note.language)
    return jiwer.process_words(" ".join(said), " ".join(heard)).hits if heard else 0


def _count(segments: Sequence[Segment]) -> int:
    return sum(len(guards.normalized(segment.text).split()) for segment in segments)


def _minutes(told: Sequence[Told]) -> float:
    return sum(one.note.seconds for one in told) / SECONDS
