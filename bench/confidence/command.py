"""`python -m bench confidence`: transcribes what is not transcribed yet, fits the curves, writes the page.

Reads arguments, finds model and voices, calls the parts.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from bench.accuracy import run
from bench.accuracy import subject as subjects
from bench.accuracy.modes import Mode, notes
from bench.accuracy.subject import Subject
from bench.confidence import fit
from bench.confidence.judge import Judged
from bench.confidence.page import page
from sttd.consumer.engine.model.confidence import MEASURED, NONE
from tools import voices

MODE: Final = Mode("sttd, words asked for", words=True)
MANY: Final = 1300
"""Notes, of all sets by turns."""


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code. Raises `ModelUnavailable`, `VoicesUnavailable`."""
    given = _parser().parse_args(arguments)
    subject = Subject.of(given.model, given.cores)
    everything = notes(voices.utterances(voices.fetch()))[: given.count]
    kept = subject.results("confidence")
    if not given.page_only:
        run.measure("words", MODE, everything, kept, subject=subject, cores=given.cores)
    found = kept.latest(MODE.settings, subject.cpu)
    judged = [Judged.of(one, found[one.set, one.name]) for one in everything if (one.set, one.name) in found]
    fitted = {
        code: fit.calibration([one for one in judged if one.language == code])
        for code in dict.fromkeys(one.language for one in judged)
    }
    head = subject.head() | {"remark": given.remark}
    subjects.write("confidence", page(judged, MEASURED.get(subject.sha256, NONE), fitted, head))
    for code, calibration in fitted.items():
        sys.stdout.write(f"{code}: {calibration}\n")  # for consumer/engine/model/confidence.py
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = subjects.parser("confidence", __doc__, cores=2)
    parser.add_argument("--count", type=int, default=MANY, help=f"notes (default: {MANY})")
    return parser
