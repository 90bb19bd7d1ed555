"""Notes of one to two and a half minutes, cut into windows: nothing is lost at cuts, times are those of the whole."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import pytest

from sttd.consumer.engine.threaded import SpeechEngine
from sttd.consumer.engine.transcriber import Job, Transcription
from sttd.schemas.reply import Segment, Word
from tests.support.human import AT_ZERO, Note, consecutive, side_by_side
from tools.voices import Utterance
from tools.word_errors import errors

pytestmark = pytest.mark.timeout(1800)

MARGIN: Final = 0.05
LONG: Final = (("ru-festvox", 100, 140), ("en-prompts", 40, 60))
"""Set, number of the first sentence, seconds at least."""


@pytest.fixture(scope="module")
def long_notes(recordings: dict[str, list[Utterance]]) -> list[Note]:
    """Consecutive sentences in one note."""
    return [consecutive(recordings[name], first, seconds) for name, first, seconds in LONG]


@pytest.fixture(scope="module")
def progress() -> list[tuple[float, str]]:
    """What was reported during the work, of all notes."""
    return []


@pytest.fixture(scope="module")
def heard(accelerated: SpeechEngine, long_notes: list[Note], progress: list[tuple[float, str]]) -> list[Transcription]:
    """Our answers, in windows and with word times."""
    return [
        accelerated.transcribe_here(
            Job(
                note.pcm,
                replace(AT_ZERO, language=note.language, word_timestamps=True),
                on_progress=lambda fraction, text: progress.append((fraction, text)),
            )
        )
        for note in long_notes
    ]


def test_a_note_in_windows_has_no_more_errors_than_stock_in_one_go(
    stock: Any, heard: list[Transcription], long_notes: list[Note]
) -> None:
    """A window that is left out or comes twice is a fifth of a note, and would show.

    A single note differs by some words with the CPU's arithmetic: 11 of 202 in bfloat16 on AMX.
    """

    def text(note: Note) -> str:
        segments, _ = stock.transcribe(
            note.pcm,
            language=note.language,
            beam_size=5,
            temperature=[0.0],
            vad_filter=True,
            word_timestamps=True,
            condition_on_previous_text=False,
        )
        return "".join(segment.text for segment in segments)

    stocks = side_by_side(text, long_notes)
    for note, ours, theirs in zip(long_notes, heard, stocks, strict=True):
        our_rate = errors(note.said, ours.text, note.language).word_rate
        assert our_rate <= errors(note.said, theirs, note.language).word_rate + 2 * MARGIN, note.name


def test_the_windows_are_reported_one_by_one(heard: list[Transcription], progress: list[tuple[float, str]]) -> None:
    """Sixty seconds and more are at least two windows of thirty."""
    assert len(progress) >= 2 * len(heard)


def test_segments_follow_each_other_inside_the_note(heard: list[Transcription], long_notes: list[Note]) -> None:
    """Subtitles are made of these times."""
    for note, answer in zip(long_notes, heard, strict=True):
        assert in_order_within(0, note.seconds, answer.segments), note.name


def test_words_follow_each_other_inside_their_segment(heard: list[Transcription]) -> None:
    """A click on a word leads to that word."""
    for answer in heard:
        for segment in answer.segments:
            assert segment.words, segment
            assert in_order_within(segment.start, segment.end, segment.words), segment
            assert "".join(word.word for word in segment.words).strip() == segment.text.strip()


def in_order_within(start: float, end: float, parts: Sequence[Segment | Word]) -> bool:
    """Whether each part ends no earlier than it starts, and the next starts no earlier than it ends.

    All must lie in [start, end].
    """
    moments = [start, *(moment for part in parts for moment in (part.start, part.end)), end]
    return all(before <= after for before, after in pairwise(moments))
