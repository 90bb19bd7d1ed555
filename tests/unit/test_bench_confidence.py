"""bench.confidence without a model: which words are right, and whether curves and their errors are."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from bench.accuracy.modes import Note
from bench.confidence import fit
from bench.confidence.judge import Judged, right
from bench.confidence.page import page
from tools.voices import Utterance

HEAD = {"date": "2026-11-26", "machine": {"cpu": "some"}, "model": "base", "sha256": "0" * 64, "remark": ""}


@pytest.mark.parametrize(
    ("script", "pieces", "verdicts"),
    [
        ("раз два три", [" Раз,", " ёж", " три."], [(True,), (False,), (True,)]),
        ("на двадцать пятом этаже", [" На", " 25", "-м", " этаже"], [(True,), (True, False), (), (True,)]),
        ("триста тысяч рублей", [" 300", " 000", " рублей"], [(True, True), (), (True,)]),
        ("раз два", [" раз", " —", " два", " два"], [(True,), (), (True,), (False,)]),
        ("раз", [], []),
    ],
)
def test_a_word_is_right_where_all_that_it_says_stands_in_the_script(
    script: str, pieces: list[str], verdicts: list[tuple[bool, ...]]
) -> None:
    """Numbers are the words that are said; Whisper cuts them in pieces."""
    assert list(right(script, pieces, "ru")) == verdicts


def note(number: int, script: str) -> Note:
    """One utterance."""
    one = Utterance("ru-festvox", f"{number:04}", Path("none.wav"), script, "somebody", "ru")
    return Note(one.set, one.name, one.language, (one,))


def result(words: list[tuple[str, float]], logprob: float = -0.3) -> dict[str, Any]:
    """An answer of one segment."""
    text = "".join(word for word, _ in words)
    return {"segments": [[0.0, 1.0, logprob, 0.0, 1.0, text]], "words": [[list(word) for word in words]]}


def drawn(count: int) -> list[Judged]:
    """Notes of ten words, each right as often as its probability squared says."""
    draw, found = Random(3), []
    for number in range(count):
        sure = [draw.random() for _ in range(10)]
        heard = [("раз" if draw.random() < share**2 else "мимо") for share in sure]
        words = [(f" {word}", share) for word, share in zip(heard, sure, strict=True)]
        found.append(Judged.of(note(number, " ".join(["раз"] * 10)), result(words, logprob=sum(sure) / 10 - 1)))
    return found


def test_an_answer_is_judged_word_by_word_and_as_a_share() -> None:
    """A segment's share counts what is said: a number of three words three times."""
    judged = Judged.of(note(1, "ровно сто двадцать пять"), result([(" Ровно", 0.5), (" 125", 0.9), (" -", 0.1)]))
    assert [(word.probability, right) for word, right in judged.words(judged.segments)] == [(0.5, 1.0), (0.9, 1.0)]
    wrong = Judged.of(note(1, "ровно сто"), result([(" Робко", 0.5), (" 100", 0.9)]))
    assert [share for _, share in wrong.shares(wrong.segments)] == [0.5]
    nothing = Judged.of(note(1, "ровно сто"), {"segments": []})
    assert list(nothing.shares(nothing.segments)) == []


def test_a_curve_rises_and_follows_what_was_drawn() -> None:
    """The points are few enough to stand in the code."""
    curve = fit.calibration(drawn(600)).words
    assert 10 <= len(curve.points) <= 15
    assert [share for _, share in curve.points] == sorted(share for _, share in curve.points)
    for figure in (0.2, 0.5, 0.8):
        assert curve.at(figure) == pytest.approx(figure**2, abs=0.05)


def test_curves_mend_probabilities_that_are_too_high() -> None:
    """Also on the half that they were not fitted on; its own half is never judged worse."""
    notes = drawn(600)
    raw, other, own = (
        fit.error(rated)
        for rated in (fit.raw_words(notes), fit.words(fit.crossed(notes)), fit.words(fit.crossed(notes, own=True)))
    )
    assert raw.value == pytest.approx(1 / 6, abs=0.02)  # the mean of p - p²
    assert max(other.value, own.value) < 0.03
    assert raw.low < raw.value < raw.high


def test_each_note_is_judged_by_curves_of_the_other_half() -> None:
    """Else the error would be measured on what it was fitted on."""
    notes = drawn(200)
    by_fold = {judged.fold: curves for judged, curves in fit.crossed(notes)}
    assert by_fold[0] == fit.calibration([one for one in notes if one.fold == 1]) != by_fold[1]


def test_the_page_says_whether_the_daemon_has_these_curves() -> None:
    """After a new measurement the code must follow."""
    notes = drawn(200)
    fitted = {"ru": fit.calibration(notes)}
    assert "they are what these figures give" in page(notes, fitted, fitted, HEAD)
    told = page(notes, {}, fitted, HEAD)
    assert "other ones than these figures give" in told
    assert "| words | Russian fiction | 2,000 |" in told
