"""Human recordings as notes, and how an engine's text is compared with the script.

Loads no model.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeVar

import numpy as np

from sttd.commands.bench.paired import Figure, difference
from sttd.consumer.engine.threaded import SpeechEngine
from sttd.consumer.engine.transcriber import Job, JobOptions, Transcription
from sttd.consumer.pcm import SAMPLE_RATE, Pcm
from tools.voices import Utterance
from tools.word_errors import errors

T = TypeVar("T")
R = TypeVar("R")

CORES: Final = 2
IN_HAND: Final = 8
"""Notes at a time, so that some of them wait for a core and are decoded together."""
USUAL_WORDS: Final = range(5, 12)
"""Words in the script of a voice note of usual length: 2 to 8 s in these voices."""
BREATH_SECONDS: Final = 0.4
EDGE: Final = 0.03
"""Seconds of the pauses on both sides that a word cut out of a sentence keeps."""

AT_ZERO: Final = JobOptions("ru", "ru", temperature=0.0)
"""The daemon's defaults without the higher temperatures, at which tokens are drawn from a generator without a seed."""


ONE_WORD: Final = (
    ("ru_0523", 0.402, 0.852, "нет"),
    ("ru_0529", 0.412, 0.892, "нет"),
    ("ru_0545", 7.962, 8.472, "нет"),
    ("ru_0335", 6.692, 7.122, "да"),
    ("ru_0386", 9.752, 10.262, "да"),
    ("ru_0567", 0.382, 0.822, "да"),
)
"""Words between two pauses of one voice: sentence, seconds of it by the voice's own labels (`lab/`), word."""


@dataclass(frozen=True, slots=True, eq=False)
class Note:
    """One person's speech: `said` is the script, `pcm` float32 mono at 16 kHz, shape (samples,)."""

    name: str
    set: str
    language: str
    said: str
    pcm: Pcm

    @property
    def seconds(self) -> float:
        return self.pcm.size / SAMPLE_RATE


def usual(utterances: Sequence[Utterance], count: int) -> list[Note]:
    """So many of usual length, evenly spread over the set."""
    fit = [one for one in utterances if len(one.text.split()) in USUAL_WORDS]
    return [_note([fit[place * len(fit) // count]]) for place in range(count)]


def consecutive(utterances: Iterable[Utterance], first: int, seconds: float) -> Note:
    """One note of at least so many seconds: the sentences from number `first` on, with a pause between two."""
    taken: list[Utterance] = []
    rest = islice(utterances, first, None)
    while _note(taken).seconds < seconds if taken else True:
        taken.append(next(rest))
    return _note(taken)


def _note(sentences: Sequence[Utterance]) -> Note:
    breath = np.zeros(int(BREATH_SECONDS * SAMPLE_RATE), np.float32)
    pieces = [piece for one in sentences for piece in (breath, one.audio())][1:]
    first = sentences[0]
    said = " ".join(one.text for one in sentences)
    return Note(first.name, first.set, first.language, said, np.concatenate(pieces))


def one_word(utterances: Iterable[Utterance]) -> list[Note]:
    """Notes of half a second: the words of `ONE_WORD`, with nothing around them."""
    by_name = {one.name: one for one in utterances}
    return [_cut(_note([by_name[name]]), start, end, word) for name, start, end, word in ONE_WORD]


def _cut(note: Note, start: float, end: float, word: str) -> Note:
    first, last = (round(seconds * SAMPLE_RATE) for seconds in (start - EDGE, end + EDGE))
    return replace(note, said=word, pcm=note.pcm[first:last])


def side_by_side(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The work's results for all items, in their order, computed on all cores."""
    with ThreadPoolExecutor(CORES) as threads:
        return list(threads.map(work, items))


def transcribed(engine: SpeechEngine, jobs: Iterable[tuple[Pcm, JobOptions]]) -> list[Transcription]:
    """What the engine makes of each sound."""
    return side_by_side(lambda job: engine.transcribe_here(Job(*job)), jobs)


def more_errors(notes: Sequence[Note], ours: Sequence[str], theirs: Sequence[str]) -> dict[str, Figure]:
    """Our word error rate less theirs, paired, with its 95 % interval; each set of recordings by itself."""
    return {
        name: difference(*zip(*_counted(notes, ours, theirs, name), strict=True))
        for name in dict.fromkeys(note.set for note in notes)
    }


def _counted(
    notes: Sequence[Note], ours: Sequence[str], theirs: Sequence[str], name: str
) -> Iterator[tuple[int, int, int]]:
    for note, our, their in zip(notes, ours, theirs, strict=True):
        if note.set == name:
            mine, other = (errors(note.said, text, note.language) for text in (our, their))
            yield mine.word_errors, other.word_errors, mine.words
