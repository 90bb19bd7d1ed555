"""bench.invented without a model: what the corpus holds, and what its page counts."""

from pathlib import Path

import numpy as np
import pytest

from bench.accuracy.modes import Note
from bench.invented import corpus
from bench.invented.page import Told, rate
from tools.audio.sounds import SOUNDS
from tools.voices import Utterance

CROWD = [Utterance("ru-festvox", f"u{number}", Path("none.wav"), "слово", "who", "ru") for number in range(40)]


def test_the_long_form_is_over_an_hour_without_a_word_and_the_short_one_some_minutes() -> None:
    """Issue 17 asks for an hour; whoever only looks whether it works has six minutes."""
    long, short = ([*corpus.without_speech(CROWD, short=short)] for short in (False, True))
    sounds = [note for note in long if note.set == corpus.NO_SPEECH]
    assert sum(note.seconds for note in sounds) > 3600
    assert 240 < sum(note.seconds for note in short) < 600
    assert len({note.name for note in long}) == len(long)
    assert {note.language for note in long} == {"ru", "auto"}
    assert {note.name for note in short} <= {note.name for note in long}


@pytest.mark.parametrize("kind", SOUNDS)
def test_a_sound_is_the_same_each_time_and_of_its_level(kind: str) -> None:
    """What was measured yesterday is measured again today."""
    note = corpus.Made(corpus.NO_SPEECH, kind, "ru", (), kind, 2.0, -40.0, 3)
    sound = note.audio()
    assert np.array_equal(sound, note.audio())
    assert sound.size == 2 * 16_000
    assert np.abs(sound).max() <= 1
    level = 20 * np.log10(np.sqrt(np.mean(np.square(sound))) + 1e-12)
    assert level < -100 if kind == "silence" else abs(level + 40) < 3


def answered(*segments: tuple[float, float, float, str]) -> dict[str, object]:
    """What an engine wrote: start and end, average log probability, text of each."""
    return {"segments": [[start, end, sure, 0.1, 1.0, text] for start, end, sure, text in segments]}


def test_what_drop_takes_is_counted_apart_from_what_is_flagged() -> None:
    """A caption that is unclear goes, one that is clear stays with its flag."""
    note = Note("s", "n", "ru", ())
    found = answered(
        (0, 2, -0.9, " Продолжение следует..."), (2, 4, -0.1, " Спасибо за просмотр!"), (4, 6, -0.2, " Да.")
    )
    told = Told.of(note, found, None)
    assert [bool(segment.flags) for segment in told.all] == [True, True, False]
    assert [segment.text for segment in told.kept] == [" Спасибо за просмотр!", " Да."]


def test_without_voice_detection_what_no_voice_is_under_goes() -> None:
    """The detector is asked afterwards."""
    note = Note("s", "n", "ru", ())
    told = Told.of(note, answered((0, 2, -0.2, " Да."), (5, 6, -0.2, " Нет.")), lambda _: [(0, 16_000)])
    assert [segment.text for segment in told.kept] == [" Да."]


def test_a_rate_tells_how_sure_it_is() -> None:
    """No word in three minutes is not none an hour; one that was found has its interval."""
    quiet, loud = ([corpus.Made("s", "n", "ru", (), "hum", seconds, -30.0, 0)] for seconds in (180.0, 60.0))
    none = [Told.of(note, answered(), None) for note in quiet]
    two = [Told.of(note, answered((0, 2, -0.2, " Да, да.")), None) for note in loud]
    assert rate(none, lambda one: one.all) == "0 (at most 1)"
    assert rate(two, lambda one: one.all) == "2.0 (2.0-2.0)"
