"""Our texts beside stock faster-whisper's, on eighteen recorded sentences."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any, Final

import pytest

from sttd.consumer.engine.threaded import SpeechEngine
from sttd.consumer.engine.transcriber import Job, Transcription
from tests.support.human import AT_ZERO, IN_HAND, Note, more_errors, side_by_side, transcribed

pytestmark = pytest.mark.timeout(1800)

MARGIN: Final = 0.02
"""Of the word error rate: two points."""

MODES: Final[dict[str, dict[str, Any]]] = {
    "defaults": {"temperature": None},
    "no voice detection": {"vad": False},
    "greedy": {"beam_size": 1},
    "language detected": {"language": "auto"},
}
"""Options that differ from the daemon's defaults at temperature 0."""

DETECTED: Final = "language detected"


def has_vad(place: int) -> bool:
    """Every second recording passes voice detection: one pass compares both ways."""
    return place % 2 == 0


@pytest.fixture(scope="module")
def stock_texts(stock: Any, notes: list[Note]) -> list[str]:
    """Stock faster-whisper's texts at temperature 0."""

    def text(place: int) -> str:
        note = notes[place]
        segments, _ = stock.transcribe(
            note.pcm,
            language=note.language,
            beam_size=5,
            temperature=[0.0],
            vad_filter=has_vad(place),
            condition_on_previous_text=False,
        )
        return "".join(segment.text for segment in segments).strip()

    return side_by_side(text, range(len(notes)))


@pytest.fixture(scope="module")
def heard(accelerated: SpeechEngine, notes: list[Note]) -> Callable[[str], list[Transcription]]:
    """Our answers in one of `MODES`."""

    @cache
    def answers(mode: str) -> list[Transcription]:
        return transcribed(
            accelerated, [(note.pcm, replace(AT_ZERO, **({"language": note.language} | MODES[mode]))) for note in notes]
        )

    return answers


def test_with_ctranslate2_encoding_every_text_is_stocks(
    plain: SpeechEngine, stock_texts: list[str], notes: list[Note]
) -> None:
    """Same weights, same arithmetic, temperature 0: gate, threads and voice detection of ours change no letter."""
    ours = transcribed(
        plain,
        [(note.pcm, replace(AT_ZERO, language=note.language, vad=has_vad(place))) for place, note in enumerate(notes)],
    )
    assert [answer.text for answer in ours] == stock_texts


@pytest.mark.parametrize("mode", MODES)
def test_no_mode_makes_more_errors_than_stock(
    mode: str, heard: Callable[[str], list[Transcription]], stock_texts: list[str], notes: list[Note]
) -> None:
    """OpenVINO's encoder rounds unlike ctranslate2's int8, so texts differ; errors must not grow in any voice.

    A few words more in a few notes are chance: a mode fails when its whole interval is above `MARGIN`.
    """
    more = more_errors(notes, [answer.text for answer in heard(mode)], stock_texts)
    assert {name: figure for name, figure in more.items() if figure.low > MARGIN} == {}


def test_windows_that_are_decoded_together_give_the_same_texts(
    accelerated: SpeechEngine, heard: Callable[[str], list[Transcription]], notes: list[Note]
) -> None:
    """Two cores decode up to four waiting notes as one batch; a note's text must not depend on its neighbours."""
    jobs = [Job(note.pcm, replace(AT_ZERO, beam_size=1, language=note.language)) for note in notes]
    with ThreadPoolExecutor(IN_HAND) as threads:
        together = list(threads.map(accelerated.transcribe_here, jobs))
    batches = [step.together for job in jobs for step in job.timeline.steps if step.name == "generate"]
    assert max(batches) > 1
    assert [answer.text for answer in together] == [answer.text for answer in heard("greedy")]


def test_russian_and_english_are_told_apart(heard: Callable[[str], list[Transcription]], notes: list[Note]) -> None:
    """A sentence is enough for `auto`, at telephone quality too: nine in ten at least."""
    wrong = [
        (note.name, answer.language)
        for note, answer in zip(notes, heard(DETECTED), strict=True)
        if note.language != answer.language
    ]
    assert len(wrong) <= len(notes) // 10, wrong
