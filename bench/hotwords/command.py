"""`python -m bench hotwords`: transcribes what is not transcribed yet, with the list and without, writes the page.

Reads arguments, finds model and voices, calls the parts.
"""

import argparse
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

from bench.accuracy import run
from bench.accuracy import subject as subjects
from bench.accuracy.modes import Mode, Note, notes
from bench.accuracy.subject import Subject
from bench.hotwords.page import Compared, page
from bench.hotwords.score import Terms
from sttd.consumer.engine import hotwords
from tools import voices

LIST: Final = Path(__file__).with_name("terms.txt")
RUSSIAN: Final = "ru"
COUNT: Final = 120
"""Notes with a listed term, and as many without, of both voices together."""


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code. Raises `ModelUnavailable`, `VoicesUnavailable`."""
    given = _parser().parse_args(arguments)
    listed = hotwords.read("", LIST)
    subject = Subject.of(given.model, given.cores)
    everything = notes(voices.utterances(voices.fetch(), ("ru-festvox", "ru-prompts")))
    terms = Terms(listed.terms[RUSSIAN])
    chosen = _chosen(everything, terms, given.count)
    modes = {"without": Mode("no list"), "with": Mode("the list", hotwords=listed.text(RUSSIAN))}
    kept = {name: subject.results(f"hotwords-{name}") for name in modes}
    if not given.page_only:
        for name, mode in modes.items():
            run.measure(name, mode, chosen, kept[name], subject=subject, cores=given.cores)
    found = {name: kept[name].latest(mode.settings, subject.cpu) for name, mode in modes.items()}
    head = subject.head() | {"remark": given.remark, "listed": len(listed.terms[RUSSIAN])}
    subjects.write("hotwords", page(Compared.of(chosen, found["without"], found["with"], terms), head))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = subjects.parser("hotwords", __doc__, cores=2)
    parser.add_argument("--count", type=int, default=COUNT, help=f"notes with a listed term (default: {COUNT})")
    return parser


def _chosen(everything: Sequence[Note], terms: Terms, count: int) -> list[Note]:
    """So many with a term and so many without, by turns: a run that is stopped has something of each."""
    have = [note for note in everything if terms.in_script(note.text)][:count]
    lack = [note for note in everything if not terms.in_script(note.text)][:count]
    return [note for pair in zip_longest(have, lack) for note in pair if note is not None]
