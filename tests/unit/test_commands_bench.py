"""`sttd bench` without a model: how texts are compared, the content of the table, what is refused."""

from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sttd.commands import main
from sttd.commands.bench import report as bench_report
from sttd.commands.bench.report import SideResult
from sttd.commands.exit_codes import Exit

SAMPLE = Path(__file__).parents[2] / "sttd" / "samples" / "ru-taxi.ogg"


def heard(side: str, wall: float, core: float, **texts: str) -> SideResult:
    """One side after three rounds."""
    return SideResult(
        side, "engine", "cpu", "int8", 1.0, 100.0, [wall, 9 * wall, wall], [core] * 3, texts, dict.fromkeys(texts, 30.0)
    )


def test_words_are_compared_without_case_and_punctuation_but_texts_as_they_are() -> None:
    """A comma is a different text and no different word."""
    (comma, word) = bench_report.differences(
        {"a": "Да, пять", "b": "раз два три", "c": "="}, {"a": "да пять", "b": "раз пять три четыре", "c": "="}
    )
    assert (comma.words, comma.changes) == (0, ["case or punctuation only"])
    assert (word.words, word.changes) == (2, ["два -> пять", "nothing -> четыре"])


def test_the_table_says_how_many_times_better_each_figure_is() -> None:
    """Less core time is better, more files a second too."""
    console = Console(width=120)
    with console.capture() as captured:
        console.print(bench_report.table(heard("stock", 4, 8, a="x", b="y"), heard("ours", 1, 2, a="x", b="z")))
    lines = {
        line.split("│")[1].strip(): line.split("│")[2:5] for line in captured.get().splitlines() if line.count("│") == 5
    }
    assert [cell.strip() for cell in lines["files a second"]] == ["0.50", "2.00", "4.00"]
    assert [cell.strip() for cell in lines["core seconds a minute of audio"]] == ["8.0", "2.0", "4.00"]


def test_json_has_figures_texts_and_differences() -> None:
    """Programs get what people see."""
    stock, ours = heard("stock", 4, 8, a="x", b="y"), heard("ours", 1, 2, a="x", b="z")
    said = bench_report.as_json(stock, ours, bench_report.differences(stock.texts, ours.texts))
    assert said["same_texts"] == 1
    assert said["differences"] == [{"file": "b", "words": 1, "changes": ["y -> z"]}]
    assert said["ours"]["files_per_second"] == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--model", "no-such-model", str(SAMPLE)], "no-such-model"),
        (["--language", "xx", "--model", "demo", str(SAMPLE)], "neither a Whisper language code"),
        (["no-such-file.ogg"], "no-such-file.ogg"),
    ],
)
def test_mistakes_end_it_before_anything_is_loaded(given: list[str], told: str) -> None:
    """One line that names the mistake."""
    result = CliRunner().invoke(main.build(), ["bench", *given], env={"COLUMNS": "200"})
    assert result.exit_code == Exit.USAGE
    assert told in result.stderr
