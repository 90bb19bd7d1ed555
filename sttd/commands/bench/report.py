"""The report of `sttd bench`: figures and texts of both sides -> differences, a table, JSON. Pure.

Words are compared without case and punctuation; texts as they are.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from rich.table import Table

from sttd.commands.demo.report import words


@dataclass
class SideResult:
    """One side: what it runs on, its rounds, its texts by file (of the last round), lengths of the files in seconds."""

    side: str
    engine: str = ""
    device: str = ""
    compute_type: str = ""
    load_seconds: float = 0.0
    peak_mib: float = 0.0
    wall: list[float] = field(default_factory=list)
    core: list[float] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    again: int = 0

    @property
    def audio_seconds(self) -> float:
        """Of all files together."""
        return sum(self.seconds.values())

    def figures(self) -> dict[str, float]:
        """Medians of the rounds."""
        wall, core = statistics.median(self.wall), statistics.median(self.core)
        return {
            "seconds": wall,
            "files_per_second": len(self.seconds) / wall,
            "times_real_time": self.audio_seconds / wall,
            "core_seconds_per_minute": 60 * core / self.audio_seconds,
            "peak_mib": self.peak_mib,
            "load_seconds": self.load_seconds,
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """One file whose texts differ.

    `words`: how many stand on one side only; 0: case and punctuation alone. `changes`: the places.
    """

    file: str
    words: int
    changes: list[str]


def differences(stock: dict[str, str], ours: dict[str, str]) -> list[Difference]:
    """Of all files that both have transcribed."""
    return [_difference(file, stock[file], ours[file]) for file in stock if file in ours and stock[file] != ours[file]]


def _difference(file: str, theirs: str, ours: str) -> Difference:
    one, other = words(theirs), words(ours)
    places = [place for place in SequenceMatcher(None, one, other, autojunk=False).get_opcodes() if place[0] != "equal"]
    apart = sum(max(end - start, to - begin) for _, start, end, begin, to in places)
    changes = [
        f"{' '.join(one[start:end]) or 'nothing'} -> {' '.join(other[begin:to]) or 'nothing'}"
        for _, start, end, begin, to in places
    ]
    return Difference(file, apart, changes or ["case or punctuation only"])


def table(stock: SideResult, ours: SideResult) -> Table:
    """Both sides and how many times better ours is."""
    shown = Table(
        title=f"{len(stock.seconds)} files, {stock.audio_seconds:,.0f} s of audio, median of {len(stock.wall)} rounds"
    )
    for heading in ("", f"stock {stock.engine.partition(' ')[0]}", "sttd", "times"):
        shown.add_column(heading, justify="left" if not heading else "right")
    one, other = stock.figures(), ours.figures()
    for name, label, digits, more_is_better in (
        ("files_per_second", "files a second", 2, True),
        ("times_real_time", "seconds of audio a second", 1, True),
        ("core_seconds_per_minute", "core seconds a minute of audio", 1, False),
        ("peak_mib", "peak memory, MiB", 0, False),
        ("load_seconds", "loading, s", 1, False),
    ):
        better = (
            (other[name] / one[name] if more_is_better else one[name] / other[name])
            if one[name] and other[name]
            else 0.0
        )
        shown.add_row(label, f"{one[name]:,.{digits}f}", f"{other[name]:,.{digits}f}", f"{better:.2f}")
    return shown


def verdict(stock: SideResult, found: Sequence[Difference]) -> list[str]:
    """The texts in a line or two, and each difference."""
    total = sum(len(words(text)) for text in stock.texts.values())
    apart = sum(one.words for one in found)
    lines = [
        (
            f"{len(stock.texts) - len(found)} of {len(stock.texts)} texts are the same to the letter; "
            f"{apart} of {total} words differ"
        )
    ]
    lines += [f"  {one.file}: {'; '.join(one.changes)}" for one in found]
    if found:
        lines.append(
            "  Where a model is unsure both draw words at random above temperature 0; "
            "longer files are cut at other places: docs/engine.md"
        )
    return lines


def as_json(stock: SideResult, ours: SideResult, found: Sequence[Difference]) -> dict[str, Any]:
    """Everything, for programs."""
    sides = {
        heard.side: heard.figures()
        | {
            "engine": heard.engine,
            "device": heard.device,
            "compute_type": heard.compute_type,
            "rounds": heard.wall,
            "texts": heard.texts,
        }
        for heard in (stock, ours)
    }
    return {
        "files": stock.seconds,
        "unreadable": stock.unreadable,
        **sides,
        "same_texts": len(stock.texts) - len(found),
        "differences": [{"file": one.file, "words": one.words, "changes": one.changes} for one in found],
    }
