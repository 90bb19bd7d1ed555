"""`python -m bench invented`: transcribes what is not transcribed yet, writes the page.

Reads arguments, finds model and voices, calls the parts.
"""

import argparse
from collections.abc import Sequence
from typing import Final

from bench.accuracy import run
from bench.accuracy import subject as subjects
from bench.accuracy.modes import Mode, notes
from bench.accuracy.subject import Subject
from bench.invented import corpus
from bench.invented.page import Voices, page
from sttd.consumer.engine import environment
from sttd.consumer.engine.model.speech import Detector
from tools import voices

MODES: Final = {
    "ours": Mode("sttd"),
    "stock-vad": Mode("stock, voice detection on", stock=True, stock_vad=True),
    "ours-no-vad": Mode("sttd, `vad` off", vad=False),
    "stock": Mode("stock", stock=True),
}
SETS: Final = ("ru-festvox", "ru-prompts", "en-prompts")
FICTION: Final = SETS[0]
EACH: Final = 12
"""Notes of each kind of spoilt speech."""
HUMAN: Final = 300
"""Recorded sentences, of which nothing may be dropped."""


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code. Raises `ModelUnavailable`, `VoicesUnavailable`."""
    given = _parser().parse_args(arguments)
    subject = Subject.of(given.model, given.cores)
    everything = voices.utterances(voices.fetch(), SETS)
    kept = {name: subject.results(f"invented-{name}") for name in MODES}
    fiction = [one for one in everything if one.set == FICTION]
    made = [*corpus.spoilt(fiction, EACH), *corpus.without_speech(everything, short=given.short)]
    people = notes(everything)[: given.human]
    chosen = {name: [*made, *people] if name == "ours" else made for name in MODES}
    for name in () if given.page_only else given.modes.split(","):
        notes_of = chosen[name][: given.count]
        run.measure(name, MODES[name], notes_of, kept[name], subject=subject, cores=given.cores)
    found = {name: kept[name].latest(mode.settings, subject.cpu) for name, mode in MODES.items()}
    head = subject.head() | {"remark": given.remark}
    titles = {name: mode.title for name, mode in MODES.items()}
    subjects.write("invented", page(chosen, found, titles, _voices(), head))
    return 0


def _voices() -> Voices:
    """Where the daemon's detector hears speech in a note."""
    environment.prepare()
    import faster_whisper.vad  # noqa: PLC0415 - after the environment is set

    detector = Detector(faster_whisper.vad)
    return lambda note: detector.spans(note.audio())


def _parser() -> argparse.ArgumentParser:
    parser = subjects.parser("invented", __doc__, cores=2)
    parser.add_argument("--modes", default=",".join(MODES), help="comma-separated (default: all)")
    parser.add_argument("--short", action="store_true", help="six minutes of sounds instead of seventy")
    parser.add_argument("--count", type=int, help="only so many notes of each mode (default: all)")
    parser.add_argument("--human", type=int, default=HUMAN, help=f"recorded sentences (default: {HUMAN})")
    return parser
