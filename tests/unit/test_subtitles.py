"""Subtitles and tables hold every word of the text, at its time, whatever signs the words hold; a cue can be read."""

from typing import Any

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sttd.cues import LINES, LONGEST, PAUSE, WIDTH, cues
from sttd.schemas.reply import Transcript, Word
from sttd.subtitles import Format, render
from tools.messages import examples


def transcript(*segments: tuple[float, float, str]) -> Transcript:
    """A transcript with these segments: start and end in seconds, text."""
    given: dict[str, Any] = {"id": 0, "avg_logprob": -0.1, "no_speech_prob": 0.0, "compression_ratio": 1.0}
    found = [
        {**given, "id": i, "start": start, "end": end, "text": text} for i, (start, end, text) in enumerate(segments)
    ]
    known = {"text": " ".join(s["text"] for s in found), "duration": max(s["end"] for s in found), "segments": found}
    return Transcript.model_validate({**examples.TRANSCRIPT.model_dump(), **known})


NOTE = transcript((0.0, 1.25, "Привет, мир."), (3661.5, 3662.0, "Пока."))


def test_srt_and_vtt_have_one_numbered_cue_for_a_short_segment() -> None:
    """Players take them as they are: comma in SubRip, full stop in WebVTT, hours always there."""
    assert render(NOTE, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,250\nПривет, мир.\n\n2\n01:01:01,500 --> 01:01:02,000\nПока."
    )
    assert render(NOTE, "vtt") == (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.250\nПривет, мир.\n\n2\n01:01:01.500 --> 01:01:02.000\nПока."
    )


def test_tsv_is_in_milliseconds_and_text_is_one_line() -> None:
    """Spreadsheets read the one without guessing units, and grep the other."""
    assert render(NOTE, "tsv") == "start\tend\ttext\n0\t1250\tПривет, мир.\n3661500\t3662000\tПока."
    assert render(NOTE, "text") == "Привет, мир. Пока."


@pytest.mark.parametrize(
    "said", ["{\\p1}drawn", "{note} kept", "a\\Nb\\hc\\nd", "a --> b", "<i>x</i> & y", "two\n\nlines\tand\ttabs"]
)
def test_no_word_is_lost_to_a_sign_that_a_format_gives_a_meaning(said: str) -> None:
    """Override tags of SubStation, arrows, markup and line breaks in a text are text; a cue is one line."""
    single = transcript((0.0, 1.0, said))

    for format_, body_at in (("srt", 2), ("vtt", 4)):
        shown = render(single, format_).splitlines()[body_at:]  # type: ignore[arg-type]  # the two names are literals
        assert len(shown) == 1
        words = shown[0].replace("\u2060", "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        assert words == " ".join(said.split())
        assert "-->" not in shown[0]
    assert len(render(single, "tsv").splitlines()) == 2


def test_a_cue_never_ends_before_it_began() -> None:
    """WebVTT forbids a cue of no length: players drop the whole file. At the end of the file it begins before."""
    found = render(transcript((2.0, 2.0, "да"), (3.0, 3.0, "нет")), "vtt")
    assert "00:00:02.000 --> 00:00:02.001" in found
    assert "00:00:02.999 --> 00:00:03.000" in found


@pytest.mark.parametrize(("form", "shown"), [("text", ""), ("srt", ""), ("vtt", "WEBVTT"), ("tsv", "start\tend\ttext")])
def test_silence_is_a_file_without_cues(form: Format, shown: str) -> None:
    """Silence is an answer, not an error; a segment without words is no cue."""
    assert render(transcript((0.0, 1.0, "  ")), form) == shown


def spoken(said: str, start: float, *times: tuple[float, float]) -> Transcript:
    """A transcript of one segment, its words at these times after `start`."""
    texts = [f" {word}" for word in said.split()]
    words = [
        Word(start=start + begin, end=start + end, word=word, probability=1.0)
        for word, (begin, end) in zip(texts, times, strict=True)
    ]
    whole = transcript((words[0].start, words[-1].end, said))
    return whole.model_copy(update={"segments": [whole.segments[0].model_copy(update={"words": words})]})


LETTERS = st.text("абвqZé今日。.,!-{<\\>&1", min_size=1, max_size=60)
LENGTHS = st.sampled_from([0.0, 0.001, 0.3, 0.5, 1.7, 2.5, 8.0, 100.0])
WORDS = st.lists(st.tuples(st.sampled_from([" ", " ", "", "\n"]), LETTERS, LENGTHS, LENGTHS), max_size=12)
SEGMENTS = st.lists(st.tuples(LENGTHS, WORDS), max_size=4)
"""Gap before a segment; its words: white space before, text, gap before, length."""


def made(drawn: list[tuple[float, list[tuple[str, str, float, float]]]], *, timed: bool) -> tuple[Transcript, float]:
    """A transcript with these segments, and seconds to its end."""
    segments, now = [], 0.0
    for gap, parts in drawn:
        now += gap
        begun, words = now, []
        for space, text, pause, length in parts:
            words.append(Word(start=now + pause, end=now + pause + length, word=space + text, probability=1.0))
            now += pause + length
        raw = {
            "id": 0,
            "avg_logprob": -0.1,
            "no_speech_prob": 0.0,
            "compression_ratio": 1.0,
            "start": begun,
            "end": now,
        }
        segments.append({**raw, "text": "".join(word.word for word in words), "words": words if timed else None})
    known = {"segments": segments, "duration": now}
    return Transcript.model_validate({**examples.TRANSCRIPT.model_dump(), **known}), now


@given(SEGMENTS, st.booleans())
def test_every_cue_can_be_read_and_together_they_hold_all_words_in_order(
    drawn: list[tuple[float, list[tuple[str, str, float, float]]]], timed: bool
) -> None:
    """Whatever the segments: two lines of 42 characters, 7 s, inside the file, each later than the one before."""
    found, seconds = made(drawn, timed=timed)
    shown = list(cues(found.segments, seconds))
    for cue in shown:
        assert 0 <= cue.start < cue.end <= max(round(seconds * 1000), 1)
        assert cue.end - cue.start <= LONGEST
        assert 1 <= len(cue.lines) <= LINES
        assert all(line and line == line.strip() and len(line) <= WIDTH for line in cue.lines)
    assert [cue.start for cue in shown] == sorted(cue.start for cue in shown)
    said = "".join(segment.text for segment in found.segments)
    assert "".join("".join(cue.lines) for cue in shown).replace(" ", "") == "".join(said.split())


@given(SEGMENTS, st.booleans())
def test_a_player_reads_the_cues_that_were_written(
    drawn: list[tuple[float, list[tuple[str, str, float, float]]]], timed: bool
) -> None:
    """Times and number of cues survive SubRip and WebVTT."""
    found, seconds = made(drawn, timed=timed)
    times = [(cue.start, cue.end) for cue in cues(found.segments, seconds)]
    for form in ("srt", "vtt"):
        read = pysubs2.SSAFile.from_string(render(found, form), form)
        assert [(event.start, event.end) for event in read] == times


def test_a_long_segment_is_cut_at_clauses_and_each_cue_has_its_words_times() -> None:
    """Nobody reads three lines; a cue that ends within a clause reads badly."""
    said = (
        "Во вторник, если не будет дождя, мы поедем за город и посмотрим на тот самый дом, о котором ты говорил вчера"
    )
    found = spoken(said, 10.0, *((at / 2, at / 2 + 0.4) for at in range(len(said.split()))))
    shown = [(cue.start, cue.end, " ".join(cue.lines)) for cue in cues(found.segments, 100)]
    assert shown == [
        (10_000, 12_900, "Во вторник, если не будет дождя,"),
        (13_000, 17_900, "мы поедем за город и посмотрим на тот самый дом,"),
        (18_000, 20_400, "о котором ты говорил вчера"),
    ]


def test_a_cue_ends_before_a_pause_between_two_words() -> None:
    """Nothing stands on the screen while nobody speaks."""
    found = spoken("раз два три", 0.0, (0, 0.5), (0.6, 1), (1.5 + PAUSE / 1000, 4))
    assert [(cue.start, cue.end) for cue in cues(found.segments, 5)] == [(0, 1000), (3500, 4000)]


def test_without_word_times_each_word_has_its_share_of_the_characters() -> None:
    """The best guess inside a segment; the cues follow each other without a gap."""
    found = transcript((10.0, 20.0, "aaaa bbbb cccc dddd eeee"))
    assert [(cue.start, cue.end, cue.lines) for cue in cues(found.segments, 20)] == [
        (10_000, 15_833, ("aaaa bbbb cccc",)),
        (15_833, 20_000, ("dddd eeee",)),
    ]


def test_two_lines_have_about_one_length() -> None:
    """A full line above a single word reads badly."""
    (cue,) = cues(transcript((0.0, 5.0, "Вчера купил обед за триста рублей, завтра нет")).segments, 5)
    assert cue.lines == ("Вчера купил обед за", "триста рублей, завтра нет")


def test_what_has_no_spaces_is_cut_between_its_signs_and_none_begins_with_a_full_stop() -> None:
    """Japanese and Chinese have no spaces; faster-whisper times each sign alone."""
    signs = ("今" * 20 + "。") * 6
    words = [Word(start=at / 10, end=(at + 1) / 10, word=sign, probability=1.0) for at, sign in enumerate(signs)]
    whole = transcript((0.0, 12.6, signs)).segments[0].model_copy(update={"words": words})
    lines = [line for cue in cues([whole], 13) for line in cue.lines]
    assert "".join(lines) == signs
    assert max(len(line) for line in lines) <= WIDTH
    assert not any(line.startswith("。") for line in lines)
