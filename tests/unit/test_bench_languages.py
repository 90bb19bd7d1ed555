"""bench.languages without a model: which notes are taken, and what its page counts."""

from pathlib import Path
from typing import Any

from bench.languages.page import page
from tools.voices import Utterance

HEAD: dict[str, Any] = {"date": "today", "machine": {"cpu": "a CPU"}, "model": "base", "sha256": "0" * 64, "remark": ""}


def note(language: str, number: int) -> Utterance:
    """One recording."""
    return Utterance(f"{language}-prompts", f"n{number}", Path("none.wav"), "слово", "who", language)


def test_a_threshold_helps_the_default_language_and_costs_the_others() -> None:
    """The figures from which the daemon's threshold was chosen: right as the default, right beside another default."""
    chosen = [note("ru", 0), note("ru", 1), note("en", 0), note("en", 1)]
    heard = [
        {"ru": 0.9, "en": 0.1},
        {"ru": 0.3, "en": 0.4},  # wrong, and not sure
        {"ru": 0.1, "en": 0.8},
        {"ru": 0.1, "en": 0.45},  # right, and not sure
    ]
    found = {(one.set, one.name): {"probabilities": told} for one, told in zip(chosen, heard, strict=True)}
    rows = [line for line in page(chosen, found, HEAD).splitlines() if line.startswith(("| ru", "| en"))]
    assert rows == ["| ru | 2 | en 1 | 50/50 | 100/50 | 100/50 |", "| en | 2 |  | 100/100 | 100/50 | 100/50 |"]
