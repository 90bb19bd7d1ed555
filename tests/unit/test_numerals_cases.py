"""1,072 sentences of voice notes, written from a description of the kinds by somebody who had not seen the program."""

from collections import Counter
from pathlib import Path
from typing import Final

from sttd.consumer.request.numerals import rewritten

CASES: Final = Path(__file__).with_name("numerals") / "apart.tsv"
LEAST: Final = 0.99


def test_of_sentences_that_were_written_apart_ninety_nine_in_a_hundred_come_out_right() -> None:
    """Their author worked out the expected text by hand: kind, language, what was heard, what is to be written."""
    cases = [line.split("\t") for line in CASES.read_text(encoding="utf-8").splitlines()]
    wrong = [(kind, heard) for kind, code, heard, due in cases if rewritten([heard], code, "digits") != [due]]
    assert len(cases) > 1000
    assert len(wrong) <= (1 - LEAST) * len(cases), wrong


def test_every_kind_is_among_them_in_both_languages() -> None:
    """A kind without a case would be right by not being asked."""
    kinds = Counter(tuple(line.split("\t")[:2]) for line in CASES.read_text(encoding="utf-8").splitlines())
    assert len({kind for kind, _ in kinds}) == 13
    assert min(kinds.values()) >= 9
