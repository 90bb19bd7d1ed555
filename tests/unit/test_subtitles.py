"""Subtitles and tables hold every word of the text, at its time, whatever signs the words hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sttd.schemas import examples
from sttd.schemas.reply import Transcript
from sttd.subtitles import Format, render


def transcript(*segments: tuple[float, float, str]) -> Transcript:
    """A transcript with these segments: start and end in seconds, text."""
    given: dict[str, Any] = {"id": 0, "avg_logprob": -0.1, "no_speech_prob": 0.0, "compression_ratio": 1.0}
    found = [
        {**given, "id": i, "start": start, "end": end, "text": text} for i, (start, end, text) in enumerate(segments)
    ]
    return Transcript.model_validate(
        {**examples.TRANSCRIPT.model_dump(), "text": " ".join(s["text"] for s in found), "segments": found}
    )


NOTE = transcript((0.0, 1.25, "Привет, мир."), (3661.5, 3662.0, "Пока."))


def test_srt_and_vtt_have_one_numbered_cue_per_segment() -> None:
    """Players take them as they are: comma in SubRip, full stop in WebVTT, hours always there."""
    assert render(NOTE, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,250\nПривет, мир.\n\n2\n01:01:01,500 --> 01:01:02,000\nПока."
    )
    assert render(NOTE, "vtt") == (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.250\nПривет, мир.\n\n2\n01:01:01.500 --> 01:01:02.000\nПока."
    )


def test_tsv_is_in_milliseconds_and_json_is_the_reply() -> None:
    """Spreadsheets and programs read them without guessing units."""
    assert render(NOTE, "tsv") == "start\tend\ttext\n0\t1250\tПривет, мир.\n3661500\t3662000\tПока."
    assert json.loads(render(NOTE, "json")) == NOTE.model_dump(mode="json")
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
    """WebVTT forbids a cue of no length, and players drop the whole file."""
    assert "00:00:02.000 --> 00:00:02.001" in render(transcript((2.0, 2.0, "да")), "vtt")


@pytest.mark.parametrize(("form", "shown"), [("text", ""), ("srt", ""), ("vtt", "WEBVTT"), ("tsv", "start\tend\ttext")])
def test_silence_is_a_file_without_cues(form: Format, shown: str) -> None:
    """Silence is an answer, not an error; a segment without words is no cue."""
    assert render(transcript((0.0, 1.0, "  ")), form) == shown
