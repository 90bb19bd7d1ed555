"""How the demo judges results: its exit code 0 must mean that every note is as the manifest has it."""

import pytest
from rich.console import Console

from sttd import errors
from sttd.commands.demo.report import SampleResult, complaint, counters, table, words
from sttd.samples import Sample, samples
from sttd.schemas.reply import Transcript
from tools.messages import examples

Keys = tuple[tuple[str, ...], ...]
KEYS: Keys = (("купил", "купила"), ("две с половиной тысячи", "2,5 тысячи", "2500"))


def sample(expect: str = "text", text: str = "Купил продукты", *, keys: Keys = (), only: str = "") -> Sample:
    """One entry of the manifest."""
    return Sample(file="note.ogg", title="A note", language="ru", expect=expect, text=text, keys=keys, only=only)


def transcript(text: str, duration: float = 3.0) -> Transcript:
    """What the daemon answered."""
    return examples.TRANSCRIPT.model_copy(update={"text": text, "duration": duration, "no_speech": not text})


BROKEN = errors.RejectedAudio("audio_unreadable", "broken")


@pytest.mark.parametrize(
    ("wanted", "answer", "fine"),
    [
        (sample(), transcript("купил продукты."), True),
        (sample(), transcript("Купил продукты на две"), False),
        (sample(), transcript(""), False),
        (sample(), BROKEN, False),
        (sample(), errors.ReplyTimeout("too late"), False),
        (sample(), transcript("что-то другое", duration=90), True),
        (sample(), transcript("", duration=90), False),
        (sample("no_speech", ""), transcript(""), True),
        (sample("no_speech", ""), transcript("шум"), False),
        (sample("audio_unreadable", ""), BROKEN, True),
        (sample("audio_unreadable", ""), errors.RejectedAudio("audio_empty", "empty"), False),
        (sample("audio_unreadable", ""), transcript("текст"), False),
    ],
)
def test_a_note_is_judged_by_its_manifest(
    wanted: Sample, answer: Transcript | errors.SttdClientError, fine: bool
) -> None:
    """Of the bundled model word for word for short notes, some text for the long one.

    And the exact code for the damaged one.
    """
    assert (complaint(SampleResult(wanted, answer, 0.1), "demo") is None) is fine


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("Купил продукты на две с половиной тысячи.", None),
        ("Купила продукты на 2,5 тысячи", None),
        ("Я купил их на 2500!", None),
        ("Купил продукты на две с половины тысячи", None),
        ("Купил продукты на 25000", "две с половиной тысячи"),
        ("Купил продукты на 2600", "две с половиной тысячи"),
        ("Купил продукты на три с лишним тысячи", "две с половиной тысячи"),
        ("Накупил на 2500", "купил"),
        ("мяйте с ахи", "купил, две с половиной тысячи"),
        ("", "got none"),
    ],
)
def test_of_a_real_model_every_key_must_be_there_in_one_of_its_spellings(text: str, lacking: str | None) -> None:
    """It may write numbers in digits, or miss a letter, and still have read the note; it may not get the sum wrong."""
    told = complaint(SampleResult(sample(keys=KEYS), transcript(text), 0.1), "base")
    assert told is None if lacking is None else told is not None and lacking in told


def test_a_note_that_is_for_the_other_model_is_shown_and_not_judged() -> None:
    """The two models are good at different sentences; the table names the model of each note."""
    bundled, real = sample(keys=KEYS, only="demo"), sample(keys=KEYS, only="base")
    wrong = transcript("что-то другое")
    judged = {
        (note.only, model): complaint(SampleResult(note, wrong, 0.1), model) is not None
        for note in (bundled, real)
        for model in ("demo", "base", "small")
    }
    assert judged == {
        ("demo", "demo"): True, ("demo", "base"): False, ("demo", "small"): False,
        ("base", "demo"): False, ("base", "base"): True, ("base", "small"): True,
    }  # fmt: skip
    shown = Console(width=120)
    with shown.capture() as capture:
        shown.print(table([SampleResult(real, wrong, 0.1)], "demo"))
    assert "(a note for base)" in capture.get()


def test_every_key_is_spoken_in_its_sample() -> None:
    """In its first spelling; else the demo would wait for words that are not in the note."""
    for note in samples():
        told = complaint(SampleResult(note, transcript(note.text), 0.1), "base")
        assert note.expect != "text" or told is None
        assert note.only in {"", "demo", "base"}


def test_words_ignore_case_and_punctuation_only() -> None:
    """Whisper's full stop is not an error; another ending of a word is."""
    assert words("Купил — ПРОДУКТЫ, на 2!") == ["купил", "продукты", "на", "2"]


def test_the_table_shows_text_silence_and_failure_and_keeps_long_texts_short() -> None:
    """What a newcomer sees first."""
    long = transcript("слово " * 200, duration=90)
    answers = (transcript("Купил [продукты]"), transcript(""), BROKEN, long)
    shown = Console(width=120)
    with shown.capture() as capture:
        shown.print(table([SampleResult(sample(), answer, 1.234) for answer in answers], "demo"))
    text = capture.get()
    for piece in ("Купил [продукты]", "— no speech —", "audio_unreadable", "(200 words in all)", "1.23 s", "90.0 s"):
        assert piece in text


def test_a_failure_that_a_sample_is_for_is_shown_as_one_on_purpose() -> None:
    """A newcomer must not take the damaged note for a fault of the demo, nor a real fault for the damaged note."""
    damaged = next(note for note in samples() if note.expect == "audio_unreadable")
    for note, on_purpose in ((damaged, True), (sample(), False)):
        shown = Console(width=120)
        with shown.capture() as capture:
            shown.print(table([SampleResult(note, BROKEN, 0.1)], "demo"))
        assert ("on purpose" in capture.get()) is on_purpose


def test_only_counters_that_moved_are_shown() -> None:
    """A page of zeros teaches nothing."""
    page = 'sttd_no_speech_total 0.0\nsttd_requests_finished_total{code="ok",outcome="completed"} 9.0\nprocess_x 1.0\n'
    assert counters(page) == ['sttd_requests_finished_total{code="ok",outcome="completed"} 9.0']
