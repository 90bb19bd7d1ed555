"""Which words of a transcript are right: aligned with the script as bench.accuracy aligns them. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from zlib import crc32

import jiwer

from bench.accuracy.engines import SEGMENT_FIGURES
from bench.accuracy.modes import Note
from bench.accuracy.results import Result
from sttd.schemas.reply import Segment, Word
from tools.word_errors import words

Pair = tuple[float, float]
"""A figure, and whether the word is right (0 or 1) or which share of a segment's words."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One transcript. `right`: for each word of each segment whether what it says is right, piece by piece."""

    set: str
    name: str
    language: str
    segments: tuple[Segment, ...]
    right: tuple[tuple[tuple[bool, ...], ...], ...]

    @classmethod
    def of(cls, note: Note, result: Result) -> "Judged":
        """An answer of the engine with words, beside its script."""
        segments = tuple(_segments(result))
        verdicts = right(note.text, [word.word for one in segments for word in one.words or ()], note.language)
        by_segment = tuple(tuple(islice(verdicts, len(one.words or ()))) for one in segments)
        return cls(note.set, note.name, note.language, segments, by_segment)

    @property
    def fold(self) -> int:
        """0 or 1, the same in every run."""
        return crc32(f"{self.set} {self.name}".encode()) & 1

    def words(self, segments: Sequence[Segment]) -> Iterator[tuple[Word, float]]:
        """Each word of these segments, which are its own or made of them, and whether it is right."""
        for segment, verdicts in zip(segments, self.right, strict=True):
            for word, flags in zip(segment.words or (), verdicts, strict=True):
                if flags:
                    yield word, float(all(flags))

    def shares(self, segments: Sequence[Segment]) -> Iterator[tuple[Segment, float]]:
        """Each segment that has a word, and its share of right words."""
        for segment, verdicts in zip(segments, self.right, strict=True):
            if flags := [flag for own in verdicts for flag in own]:
                yield segment, fmean(flags)


def _segments(result: Result) -> Iterator[Segment]:
    for number, (raw, heard) in enumerate(zip(result["segments"], result.get("words", ()), strict=True)):
        figures = dict(zip(SEGMENT_FIGURES, raw, strict=False))
        said = [Word(start=0, end=0, word=word, probability=probability) for word, probability in heard]
        yield Segment(id=number, text=raw[-1], words=said, **figures)


def right(script: str, pieces: Sequence[str], language: str) -> Iterator[tuple[bool, ...]]:
    """Of each piece of a transcript: for each of its words whether it stands in the script at its place.

    `pieces`: as Whisper cuts words, with their spaces. A number is the words that are said. Pieces that make one word
    or number together ("21" and "-й", "25" and "000") are judged together, at the first of them.
    """
    groups = _groups(pieces, language)
    found = [words("".join(group), language) for group in groups]
    hits = iter(_hits(words(script, language), [word for own in found for word in own]))
    for group, own in zip(groups, found, strict=True):
        yield tuple(islice(hits, len(own)))
        yield from [()] * (len(group) - 1)


def _groups(pieces: Sequence[str], language: str) -> list[list[str]]:
    groups: list[list[str]] = []
    for piece in pieces:
        if groups and _belongs("".join(groups[-1]), piece, language):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def _belongs(before: str, piece: str, language: str) -> bool:
    return words(before + piece, language) != [*words(before, language), *words(piece, language)]


def _hits(script: Sequence[str], heard: Sequence[str]) -> list[bool]:
    found = [False] * len(heard)
    if script and heard:
        for chunk in jiwer.process_words(" ".join(script), " ".join(heard)).alignments[0]:
            if chunk.type == "equal":
                found[chunk.hyp_start_idx : chunk.hyp_end_idx] = [True] * (chunk.hyp_end_idx - chunk.hyp_start_idx)
    return found
