"""`python -m bench numerals`: says the sentences, transcribes what is not transcribed yet, writes the page.

Reads arguments, finds model and voices, calls the parts. Festival is Debian's: `apt-get install festival festvox-ru`.
"""

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.accuracy import run
from bench.accuracy import subject as subjects
from bench.accuracy.modes import MODES, Note
from bench.accuracy.subject import Subject
from bench.numerals.page import page
from bench.numerals.sentences import festival, human
from tools import festival_voice, voices

SET: Final = "ru-festival"
MODE: Final = "default"
AT_ONCE: Final = 20


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code. Raises `ModelUnavailable`, `VoicesUnavailable`."""
    given = _parser().parse_args(arguments)
    subject = Subject.of(given.model, given.cores)
    people = list(_people())
    spoken = list(_spoken(voices.cache().parent / SET))
    kept = subject.results("numerals")
    notes = [note for pair in _by_turns(spoken, people) for note in pair]
    if not given.page_only:
        run.measure(MODE, MODES[MODE], notes[: given.count], kept, subject=subject, cores=given.cores)
    found = kept.latest(MODES[MODE].settings, subject.cpu)
    subjects.write("numerals", page(notes, found, subject.head()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = subjects.parser("numerals", __doc__, cores=1)
    parser.add_argument("--count", type=int, help="only so many notes (default: all)")
    return parser


def _people() -> Iterator[Note]:
    """The recordings whose scripts have numbers."""
    known = human()
    for one in voices.utterances(voices.fetch(), ("ru-festvox", "ru-prompts")):
        if (one.set, one.name) in known:
            yield Note(one.set, one.name, one.language, (one,))


def _spoken(folder: Path) -> Iterator[Note]:
    """The sentences as sound, said once and kept. Raises `VoicesUnavailable`."""
    sounds: dict[Path, str] = {}
    for number, sentence in enumerate(festival()):
        name = f"{number:03}-{sentence.kind}"
        told = hashlib.sha256(sentence.text.encode()).hexdigest()[:8]  # other sentences are said anew
        sound = folder / f"{name}-{told}.wav"
        sounds[sound] = sentence.text
        one = voices.Utterance(SET, name, sound, sentence.text, festival_voice.VOICE, "ru")
        yield Note(one.set, one.name, one.language, (one,))
    missing = [sound for sound in sounds if not sound.is_file()]
    for start in range(0, len(missing), AT_ONCE):
        festival_voice.say({sound: sounds[sound] for sound in missing[start : start + AT_ONCE]})


def _by_turns(spoken: Sequence[Note], people: Sequence[Note]) -> Iterator[list[Note]]:
    """A run that is stopped has something of each kind: every seventh sentence comes first."""
    order = [note for start in range(7) for note in spoken[start::7]]
    for place in range(max(len(order), len(people))):
        yield [*order[place : place + 1], *people[place : place + 1]]
