"""How the demo judges what came back: its exit code 0 must mean that every note is as the manifest says."""

from __future__ import annotations

import pytest
from rich.console import Console

from sttd import errors
from sttd.commands.demo_report import Heard, complaint, counters, table, words
from sttd.samples import Sample
from sttd.schemas.reply import AudioInfo, ModelInfo, Timings, Transcript


def sample(expect: str = "text", text: str = "Купил продукты") -> Sample:
    """One entry of the manifest."""
    return Sample(file="note.ogg", title="A note", language="ru", expect=expect, text=text)


def transcript(text: str, duration: float = 3.0) -> Transcript:
    """What the daemon answered."""
    return Transcript(
        correlation_id="1",
        message_id="m",
        text=text,
        language="ru",
        language_probability=1.0,
        duration=duration,
        no_speech=not text,
        segments=[],
        audio=AudioInfo(duration=duration, format="ogg", codec="opus", sample_rate=48_000, channels=1),
        model=ModelInfo(name="none", engine="none", device="cpu", compute_type="int8"),
        timings=Timings(decode=0, transcribe=0, total=0),
        attempt=1,
        worker="w",
    )


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
    """Word for word for short notes; some text for the long one; the very code for the damaged one."""
    assert (complaint(Heard(wanted, answer, 0.1)) is None) is fine


def test_words_ignore_case_and_punctuation_only() -> None:
    """Whisper's full stop is not an error; another ending of a word is."""
    assert words("Купил — ПРОДУКТЫ, на 2!") == ["купил", "продукты", "на", "2"]


def test_the_table_shows_text_silence_and_failure_and_keeps_long_texts_short() -> None:
    """What a newcomer sees first."""
    long = transcript("слово " * 200, duration=90)
    answers = (transcript("Купил [продукты]"), transcript(""), BROKEN, long)
    shown = Console(width=120)
    with shown.capture() as capture:
        shown.print(table([Heard(sample(), answer, 1.234) for answer in answers]))
    text = capture.get()
    for piece in ("Купил [продукты]", "— no speech —", "audio_unreadable", "(200 words in all)", "1.23 s", "90.0 s"):
        assert piece in text


def test_only_counters_that_moved_are_shown() -> None:
    """A page of zeros teaches nothing."""
    page = 'sttd_no_speech_total 0.0\nsttd_requests_finished_total{code="ok",outcome="completed"} 9.0\nprocess_x 1.0\n'
    assert counters(page) == ['sttd_requests_finished_total{code="ok",outcome="completed"} 9.0']
