"""bench.accuracy without a model: which notes, what is resumed, and whether intervals are right."""

import wave
from pathlib import Path
from typing import Any

import pytest

from bench.accuracy import command, page, results, run, scores
from bench.accuracy.modes import MODES, Note, joined, notes
from bench.accuracy.results import Results
from bench.accuracy.subject import Subject
from tests.support import tone_model
from tools import voices
from tools.voices import Utterance

CPU = {"cpu": "some", "flags": ["avx2"]}
SETS = {"ru-festvox": "ru", "ru-prompts": "ru", "en-prompts": "en"}


def utterance(name: str, number: int, path: Path = Path("none.wav"), text: str = "раз два") -> Utterance:
    """One of a set."""
    return Utterance(name, f"{number:03}", path, text, "somebody", SETS[name])


def note(number: int, text: str = "раз два") -> Note:
    """A single Russian utterance."""
    one = utterance("ru-prompts", number, text=text)
    return Note(one.set, one.name, one.language, (one,))


def answer(one: Note, text: str, key: str = "k", **more: Any) -> dict[str, Any]:
    """A line of results."""
    told = {"key": key, "engine": "e", "set": one.set, "name": one.name, "text": text}
    return told | {"seconds": 2.0, "core_seconds": 1.0, "language": one.language} | more


def scored(texts: dict[str, str]) -> dict[results.Place, scores.Scored]:
    """Script -> its transcript."""
    made = [note(number, text) for number, text in enumerate(texts)]
    known = {(one.set, one.name): one for one in made}
    found = {(one.set, one.name): answer(one, heard) for one, heard in zip(made, texts.values(), strict=True)}
    return scores.scored(known, found)


def test_the_first_notes_are_the_same_in_every_run_and_come_from_all_sets() -> None:
    """A run that is stopped early has something of each set, and the fixed 200 are fixed."""
    everything = [utterance(name, number) for name in SETS for number in range(40)]
    first = notes(everything)[:16]
    assert first == notes(list(everything))[:16]
    assert [sum(one.set == name for one in first) for name in SETS] == [6, 6, 4]
    assert sorted(one.name for one in notes(everything) if one.set == "en-prompts") == [f"{n:03}" for n in range(40)]


def test_long_notes_are_consecutive_utterances_of_one_set(tmp_path: Path) -> None:
    """Their script is that of the parts in order; what is left over at the end and too short is not used."""
    path = tmp_path / "one.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * 8000 * 50))
    chosen = notes([utterance("ru-festvox", number, path, f"слово {number}") for number in range(5)])
    made = list(joined(chosen))
    assert [(one.set, one.name) for one in made] == [
        ("ru-festvox-joined", "000..001"),
        ("ru-festvox-joined", "002..003"),
    ]
    assert (made[0].text, made[0].seconds) == ("слово 0 слово 1", 100.0)


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    """The whole takes hours: a second run goes on where the first one stopped."""
    path = tmp_path / "deep" / "stock.jsonl"
    made = [note(number) for number in range(3)]
    Results(path).add(answer(made[1], "раз два"))
    assert run.unanswered(made, Results(path).of("k")) == [made[0], made[2]]


def test_answers_of_another_engine_mode_or_cpu_do_not_count(tmp_path: Path) -> None:
    """8-bit arithmetic differs from CPU to CPU, and each version may answer otherwise."""
    settings = MODES["stock"].settings
    keys = {
        results.key(settings, "1.0", CPU),
        results.key(settings, "1.1", CPU),
        results.key(MODES["greedy"].settings, "1.0", CPU),
        results.key(settings, "1.0", CPU | {"flags": ["avx512_vnni"]}),
    }
    assert len(keys) == 4
    kept = Results(tmp_path / "stock.jsonl")
    kept.add(answer(note(1), "раз", results.key(settings, "e", CPU)))
    kept.add(answer(note(1), "два", "of another machine"))
    assert [line["text"] for line in kept.latest(settings, CPU).values()] == ["раз"]
    assert kept.latest(settings, CPU | {"cpu": "other"}) == {}


def test_a_run_with_capped_arithmetic_keeps_its_results_apart() -> None:
    """A cap makes another CPU of this one; without any, results of before caps were told still count."""
    machine = CPU | {"caps": [], "cores_used": 1}
    assert Subject("base", Path("none"), "", machine).cpu == CPU
    capped = Subject("base", Path("none"), "", machine | {"caps": ["CT2_FORCE_CPU_ISA=AVX2"]})
    assert capped.cpu == CPU | {"caps": ["CT2_FORCE_CPU_ISA=AVX2"]}


def test_a_directory_of_the_second_engine_is_measured_in_its_own_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory does not tell whose files it has: the mode does."""
    monkeypatch.setattr(voices, "fetch", lambda: tmp_path)
    monkeypatch.setattr(voices, "utterances", lambda _: [])
    model = tone_model.build(tmp_path / "tones")
    asked = ["--model", str(model), "--modes", "onnx", "--page-only", "--out", str(tmp_path)]
    assert command.main(asked) == 0


def test_a_line_cut_off_by_a_kill_costs_only_its_own_note(tmp_path: Path) -> None:
    """The next run passes over it, measures that note again, and does not write onto the broken line."""
    path = tmp_path / "stock.jsonl"
    kept = Results(path)
    for number in range(2):
        kept.add(answer(note(number), "раз два"))
    path.write_bytes(path.read_bytes()[:-30] + "ё".encode()[:1])
    again = Results(path)
    assert list(again.of("k")) == [("ru-prompts", "000")]
    again.add(answer(note(1), "раз"))
    assert {place[1]: line["text"] for place, line in Results(path).of("k").items()} == {"000": "раз два", "001": "раз"}


def test_of_a_note_that_was_answered_twice_the_later_answer_counts(tmp_path: Path) -> None:
    """A second request replaces the first result."""
    kept = Results(tmp_path / "stock.jsonl")
    for text in ("раз", "два"):
        kept.add(answer(note(1), text))
    assert [line["text"] for line in kept.of("k").values()] == ["два"]


def test_a_row_compares_the_same_notes() -> None:
    """Rates of all words together, the difference in points, and how many texts have the same words."""
    ours = list(scored({"раз два": "раз", "три четыре": "три четыре"}).values())
    theirs = list(scored({"раз два": "раз два", "три четыре": "Три, 4!"}).values())
    row = scores.row(ours, theirs)
    assert (row["words"], row["word_errors"].value, row["stock_word_errors"]) == (4, 0.25, 0.0)
    assert (row["difference"].value, row["same_words"]) == (0.25, 1)


def test_the_page_says_what_is_not_run_and_never_mixes_sets() -> None:
    """A mode without answers is not run, one with few has no line; a set without answers has an empty table."""
    many = {f"раз слово{'а' * number}": "раз" for number in range(page.FEWEST)}
    by = {
        "stock": scored(many),
        "default": scored({said: said for said in many}),
        "greedy": scored(dict(list(many.items())[1:])),
    }
    head = {
        "machine": {"cores_used": 2, "cores_there": 2, "cpu": "some", "flags": ["avx2"], "system": "Linux"}
        | {"python": "3", "packages": {}},
        "model": "base",
        "sha256": "0",
        "voices": ["voice 1"],
        "date": "2026-11-25",
        "engines": {"stock": "a", "default": "b", "greedy": "c"},
        "remark": "",
    }
    text = page.page(by, head)
    festvox, prompts = text.index("## ru-festvox"), text.index("## ru-prompts")
    assert "| `auto` | default, language `auto` |  | **not run** |" in text
    assert "| `greedy` | default, beam 1 | c | 19 |" in text
    assert "`default`" not in text[festvox:prompts]
    assert "`greedy`" not in text[prompts:]
    assert "| `default` | 20, 40 | 0.0 (0.0-0.0) | 50.0 | -50.0 (-50.0 to -50.0) |" in text[prompts:]
