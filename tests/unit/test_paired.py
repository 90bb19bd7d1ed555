"""Two texts of the same notes, compared: errors, intervals, verdicts of `sttd bench --context` and of the benchmark."""

import random
from pathlib import Path

import jiwer
import pytest
import typer

from sttd.commands.bench import paired
from sttd.commands.bench.paired import Figure
from sttd.commands.bench.report import SideResult
from sttd.commands.bench.short import _scripts, compared, lines

FILES = [f"{number}.ogg" for number in range(120)]


def test_edits_are_those_of_the_library_that_the_benchmark_aligns_with() -> None:
    """Both count the fewest replaced, missing and added words."""
    chance = random.Random(1)
    for _ in range(200):
        one, other = (chance.choices("абвг", k=chance.randint(1, 12)) for _ in range(2))
        found = jiwer.process_words(" ".join(one), " ".join(other))
        assert paired.edits(one, other) == found.substitutions + found.deletions + found.insertions
    assert (paired.edits([], ["а"]), paired.edits(["а", "б"], [])) == (1, 2)


def test_the_interval_holds_the_share_and_narrows_with_more_utterances() -> None:
    """Every fourth word wrong: with a hundred times the utterances the interval is about ten times as narrow."""
    few, many = (paired.share([1, 0, 0, 0] * times, [1] * 4 * times) for times in (10, 1000))
    assert few.value == many.value == 0.25
    assert few.low < 0.25 < few.high
    assert 5 < (few.high - few.low) / (many.high - many.low) < 20


def test_the_interval_is_the_same_in_every_run() -> None:
    """The seed is fixed, so that a page changes only when a result does."""
    assert paired.share([1, 0, 2], [3, 4, 5]) == paired.share([1, 0, 2], [3, 4, 5])


def test_what_is_hard_for_both_does_not_widen_the_interval_of_their_difference() -> None:
    """Utterances differ much, the modes by one error in each: the paired interval is a point."""
    theirs = [0, 5, 9, 2] * 10
    found = paired.difference([errors + 1 for errors in theirs], theirs, [10] * 40)
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


@pytest.mark.parametrize(
    ("more_errors", "word"),
    [
        (Figure(0.0, -0.004, 0.004), "safe"),
        (Figure(0.002, 0.001, 0.009), "safe"),
        (Figure(0.004, -0.001, 0.009), "not enough audio"),
        (Figure(0.0, -0.015, 0.015), "not enough audio"),
        (Figure(0.02, 0.001, 0.04), "worse"),
    ],
)
def test_a_verdict_follows_the_mean_and_the_upper_end(more_errors: Figure, word: str) -> None:
    """At most 0.3 points more in the mean and under 1.0 at the upper end: the rule of the default itself."""
    assert paired.by_errors(more_errors, 150).word == word


def test_few_notes_are_never_enough() -> None:
    """Twenty equal texts have an interval of no width, and say nothing about the thousandth note."""
    assert paired.by_errors(paired.difference([0] * 20, [0] * 20, [6] * 20), 20) == paired.Decision(
        "not enough audio", 80
    )
    assert paired.by_texts([0] * 20, [6] * 20) == paired.Decision("not enough audio", 80)


@pytest.mark.parametrize("pattern", [[1, 0, 0, -1, 0, 0], [1, -1] * 5 + [1] + [0] * 29, [1, -1] * 5 + [-1] + [0] * 29])
def test_with_so_many_more_notes_of_the_same_kind_there_is_a_verdict(pattern: list[int]) -> None:
    """The number is no promise, since other notes are other notes; of the same ones it must be enough."""

    def judged(count: int) -> paired.Decision:
        more_errors = (pattern * count)[:count]
        return paired.by_errors(paired.difference(more_errors, [0] * count, [6] * count), count)

    missing = judged(120)
    assert missing.word == "not enough audio"
    assert judged(120 + 2 * missing.more).word != missing.word


def test_texts_alone_are_safe_when_alike_and_worse_when_nothing_fits() -> None:
    """Word error rates of two texts differ by no more than the texts do; between the two only scripts can tell."""
    assert paired.by_texts([0] * 199 + [1], [6] * 200) == paired.Decision("safe")
    assert paired.by_texts([2] * 200, [6] * 200) == paired.Decision("worse")
    between = paired.by_texts([1, 0] * 100, [6] * 200)
    assert (between.word, between.scripts, between.more > 200) == ("not enough audio", True, True)


def side(name: str, text: str, wrong: int = 0) -> SideResult:
    """One side after its round: all notes of 5 s with the same text, but for so many that have another."""
    texts = {file: "раз" if number < wrong else text for number, file in enumerate(FILES)}
    return SideResult(name, core=[240.0], wall=[120.0], texts=texts, seconds=dict.fromkeys(FILES, 5.0), again=3)


def test_the_report_names_cost_verdict_and_setting() -> None:
    """The last line can be copied into the environment."""
    full, short = side("full", "раз два три"), side("short", "раз два три")
    told = list(lines(full, short, compared(full, short, None, 20)))
    assert told[0] == "120 notes compared"
    assert told[1] == "core seconds a note: 2.00 full, 2.00 short (3 windows had to be computed again)"
    assert told[-2:] == ["verdict: safe", "STTD_ENCODER_CONTEXT=short"]


def test_scripts_decide_what_texts_alone_cannot() -> None:
    """Where the two differ the script may be on the side of the short context."""
    full, short = side("full", "раз два три", wrong=40), side("short", "раз два три")
    scripts = dict.fromkeys(FILES, "Раз, два, три!")
    alone, decided = (compared(full, short, given, 20) for given in (None, scripts))
    assert alone.verdict.word != "safe"
    assert decided.verdict.word == "safe"
    assert compared(short, full, scripts, 20).verdict.word == "worse"
    assert list(lines(short, full, compared(short, full, scripts, 20)))[-1] == "STTD_ENCODER_CONTEXT=full"


def test_notes_that_no_context_shortens_are_not_compared() -> None:
    """Their equal texts would make the short ones look safer than they are."""
    full, short = side("full", "раз два"), side("short", "раз два")
    full.seconds["0.ogg"] = 21.0
    assert "0.ogg" not in compared(full, short, None, 20).files


def test_scripts_are_found_by_name_and_a_line_without_a_tab_is_refused(tmp_path: Path) -> None:
    """A typing mistake costs a second, not five minutes."""
    texts = tmp_path / "texts.tsv"
    texts.write_text("a.ogg\tраз два\n\nb.ogg\tтри\nc.ogg\t \n", encoding="utf-8")
    assert _scripts(texts, ["notes/a.ogg", "c.ogg", "d.ogg"]) == {"notes/a.ogg": "раз два"}
    texts.write_text("a.ogg раз два\n", encoding="utf-8")
    with pytest.raises(typer.Exit):
        _scripts(texts, ["a.ogg"])
