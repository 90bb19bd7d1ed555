"""`sttd bench --context`: whole windows beside short contexts on the user's own notes, and a verdict.

Both are the daemon's engine with the daemon's settings, one after the other, each in a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sttd.commands.bench.report import SideResult
from sttd.commands.bench.sides import SideFailed, SideProcess
from sttd.commands.demo.report import words
from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import leave, notes_bar, tell

if TYPE_CHECKING:
    from sttd.commands.bench.paired import Decision, Figure


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found.

    `files`: those that were compared; `apart`: words that differ, of the whole windows' words. With scripts, else None:
    `full`, `short`: word error rates; `difference`: short less full.
    """

    files: Sequence[str]
    apart: Figure
    verdict: Decision
    full: Figure | None = None
    short: Figure | None = None
    difference: Figure | None = None


def compare(asked: dict[str, Any], texts: Path | None, *, as_json: bool) -> Mapping[str, str]:
    """Transcribe twice, compare, report on stdout. Returns the files that cannot be decoded, with the reason.

    `asked`: what both sides are given; `texts`: scripts. Raises `SideFailed`, and `typer.Exit` for unfit scripts.
    """
    scripts = _scripts(texts, asked["files"]) if texts else None
    setting: Literal["short", "dynamic"] = "dynamic" if asked["dynamic"] else "short"
    with notes_bar() as bar:
        shown = bar.add_task("loading", total=2 * len(asked["files"]))
        sides = []
        for name in ("full", setting):
            with SideProcess(name, asked | {"context": name}) as side:
                if not side.heard.seconds:
                    raise SideFailed("none of the files can be decoded: " + "; ".join(side.heard.unreadable.values()))
                bar.update(shown, description=f"context {name}")
                side.round(lambda: bar.advance(shown))
            sides.append(side.heard)
    full, short = sides
    found = compared(full, short, scripts, _longest(setting))
    for line in [_json(full, short, found)] if as_json else lines(full, short, found):
        tell(line)
    return full.unreadable


def _scripts(path: Path, files: Sequence[str]) -> dict[str, str]:
    """The script of each file that has one."""
    table: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        name, tab, text = line.partition("\t")
        if line.strip() and not tab:
            raise leave(Exit.USAGE, f"{path}, line {number}: a file's name, a tab and its text are wanted")
        table[name.strip()] = text
    found = {file: table[name] for file in files for name in (file, Path(file).name) if words(table.get(name, ""))}
    if not found:
        raise leave(Exit.USAGE, f"{path} has a text for none of the files: begin each line with a file's name")
    return found


def _longest(setting: str) -> float:
    """Seconds of audio up to which a window is encoded short."""
    from sttd.consumer.engine.model import contexts  # noqa: PLC0415 - the base install has no daemon

    chosen = contexts.CONTEXTS[setting]
    assert chosen is not None  # `auto` is not asked for
    shortened = (audio for audio in range(contexts.FRAMES) if chosen.frames(audio) < contexts.FRAMES)
    return max(shortened) / contexts.FRAMES_A_SECOND


def compared(full: SideResult, short: SideResult, scripts: Mapping[str, str] | None, longest: float) -> Comparison:
    """Of files of at most so many seconds, with words, and with a script where scripts are given.

    Raises `SideFailed` when there are none.
    """
    from sttd.commands.bench import paired  # noqa: PLC0415 - needs numpy, which the base install has not

    files = [
        file
        for file, seconds in full.seconds.items()
        if seconds <= longest and (file in scripts if scripts else words(full.texts[file] + short.texts[file]))
    ]
    if not files:
        raise SideFailed(f"no file to compare: give notes with speech, each of at most {longest:g} s")
    one, other = ([words(side.texts[file]) for file in files] for side in (full, short))
    apart, of = list(map(paired.edits, one, other)), list(map(len, one))
    if scripts is None:
        return Comparison(files, paired.share(apart, of), paired.by_texts(apart, of))
    said = [words(scripts[file]) for file in files]
    theirs, ours = (list(map(paired.edits, said, heard)) for heard in (one, other))
    total = list(map(len, said))
    difference = paired.difference(ours, theirs, total)
    return Comparison(
        files,
        paired.share(apart, of),
        paired.by_errors(difference, len(files)),
        paired.share(theirs, total),
        paired.share(ours, total),
        difference,
    )


def lines(full: SideResult, short: SideResult, found: Comparison) -> Iterator[str]:
    """For people."""
    left_out = len(full.seconds) - len(found.files)
    yield f"{len(found.files)} notes compared" + f"; {left_out} are too long or have no words" * bool(left_out)
    one, other = (f"{side.core[0] / len(side.seconds):.2f} {side.side}" for side in (full, short))
    yield f"core seconds a note: {one}, {other} ({short.again} windows had to be computed again)"
    yield f"words that differ between the two: {_percent(found.apart)}"
    if found.full and found.short and found.difference:
        yield f"word errors: {_percent(found.full)} full, {_percent(found.short)} {short.side}"
        low, high = 100 * found.difference.low, 100 * found.difference.high
        yield f"difference: {100 * found.difference.value:+.1f} points ({low:+.1f} to {high:+.1f})"
    yield f"verdict: {found.verdict.word}{_missing(found)}"
    yield f"STTD_ENCODER_CONTEXT={short.side if found.verdict.word == 'safe' else 'full'}"


def _missing(found: Comparison) -> str:
    more = found.verdict.more
    if found.verdict.scripts:
        return f": the texts differ, which alone is no error; give --reference, for about {more} such notes in all"
    return f": about {more} more such notes are wanted" if more else ""


def _percent(figure: Figure) -> str:
    return f"{100 * figure.value:.1f} % ({100 * figure.low:.1f} to {100 * figure.high:.1f})"


def _json(full: SideResult, short: SideResult, found: Comparison) -> str:
    sides = {
        side.side: side.figures() | {"engine": side.engine, "windows_again": side.again, "texts": side.texts}
        for side in (full, short)
    }
    return json.dumps(asdict(found) | {"sides": sides}, ensure_ascii=False, indent=1)
