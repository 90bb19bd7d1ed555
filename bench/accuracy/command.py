"""`python -m bench accuracy`: measures what is missing, then writes the page from all that is there.

Reads arguments, finds model and voices, calls the parts.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.accuracy import run
from bench.accuracy import subject as subjects
from bench.accuracy.modes import MODES, Note, joined, notes
from bench.accuracy.page import page
from bench.accuracy.scores import scored
from bench.accuracy.subject import Subject
from bench.run import tell
from tools import voices

FIXED: Final = 200
MANY: Final = 1000
PLAN: Final[tuple[tuple[str, int | None], ...]] = (
    ("stock", MANY),
    ("default", MANY),
    *((name, FIXED) for name in MODES if name not in {"stock", "default", "sequential", "onnx"}),
    *((name, None) for name in ("stock", "default", "sequential")),
)
"""Mode and how many notes, what matters most first; None: long notes, joined of the fixed ones."""


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code. Raises `ModelUnavailable`, `VoicesUnavailable`."""
    given = _parser().parse_args(arguments)
    subject = Subject.of(given.model, given.cores, "onnx" if given.modes == "onnx" else "whisper")
    everything = notes(voices.utterances(voices.fetch()))
    if not given.page_only:
        _measure(given, subject, everything)
    _write(given, subject, everything)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = subjects.parser("accuracy", __doc__, cores=2)
    parser.add_argument("--name", help="what the page calls it")
    parser.add_argument("--modes", help=f"comma-separated (default: all as planned): {', '.join(MODES)}")
    parser.add_argument("--count", type=int, help="notes for each of --modes; 0: the long ones")
    parser.add_argument("--out", type=Path, help="directory for the page (default: docs/benchmarks)")
    return parser


def _plan(given: argparse.Namespace) -> Iterator[tuple[str, int | None]]:
    if given.modes is None and given.count is None:
        yield from PLAN
        return
    for name in given.modes.split(",") if given.modes else dict(PLAN):
        if name not in MODES:
            sys.exit(f"bench: no mode {name}; there are {', '.join(MODES)}")
        yield name, None if given.count == 0 else given.count or FIXED


def _measure(given: argparse.Namespace, subject: Subject, everything: list[Note]) -> None:
    for name, count in _plan(given):
        chosen = everything[:count] if count else list(joined(everything[:FIXED]))
        chosen = [note for note in chosen if MODES[name].takes(note.language)]
        try:
            run.measure(name, MODES[name], chosen, subject.results(name), subject=subject, cores=given.cores)
        except run.ModeUnavailable as error:
            tell(f"{name} is not run: {error}")


def _write(given: argparse.Namespace, subject: Subject, everything: list[Note]) -> None:
    """The page, from what is there."""
    known = {(note.set, note.name): note for note in [*everything, *joined(everything[:FIXED])]}
    found = {name: subject.results(name).latest(mode.settings, subject.cpu) for name, mode in MODES.items()}
    head = subject.head() | {
        "model": given.name or given.model,
        "voices": (voices.cache() / voices.VERSIONS).read_text(encoding="utf-8").splitlines(),
        "engines": {name: next(iter(answers.values()))["engine"] for name, answers in found.items() if answers},
        "remark": given.remark,
    }
    by = {name: scored(known, answers) for name, answers in found.items() if answers}
    subjects.write("accuracy", page(by, head), given.out or subjects.PAGES)
