"""The operator's words: from settings and file to the prompt, and a window that goes wrong with them."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from sttd.consumer.engine import hotwords
from sttd.consumer.engine.model.hotworded import Echo, HotwordedModel
from sttd.consumer.engine.model.one_sound import OneSound
from sttd.consumer.engine.transcriber import JobDefaults
from sttd.consumer.errors import SettingsError
from sttd.schemas.options import TranscriptionOptions

TEXT_END, NO_TIMES, START, BEFORE = 1000, 1001, 999, 998
OPTIONS = {"max_length": 448, "length_penalty": 1}
LIST = "Гусев. Лось. Мстислав Сергеевич. Аэлита. Шарль."
PROMPT = [BEFORE, 1, 2, 3, START, 5]
FILE = """\
# everybody's
Acme # the firm

[ru]
Мстислав  Сергеевич
Лось
[en-US]
Smith
"""


@pytest.fixture
def listed(tmp_path: Path) -> hotwords.Hotwords:
    """A setting and a file."""
    file = tmp_path / "words.txt"
    file.write_text(FILE, encoding="utf-8-sig")
    return hotwords.read(" Globex ,, Initech", file)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ru", "Мстислав Сергеевич. Лось. Globex. Initech. Acme."),
        ("en", "Smith. Globex. Initech. Acme."),
        ("de", "Globex. Initech. Acme."),
    ],
)
def test_a_language_gets_its_own_words_and_those_of_all(listed: hotwords.Hotwords, language: str, text: str) -> None:
    """Its own come first: what does not fit into the prompt is cut at the end."""
    assert listed.text(language) == text


def test_without_words_there_is_no_prompt() -> None:
    """The default costs nothing."""
    assert hotwords.read("", None).text("ru") is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[klingon]\nQapla", "line 1"),
        ("имя".encode("cp1251"), "UTF-8"),
        (b"x" * (hotwords.MOST_BYTES + 1), "larger"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_is_a_wrong_setting(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """The daemon says at its start what must change, without the words."""
    file = tmp_path / "words.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=reason) as wrong:
        hotwords.read("", file)
    assert "Qapla" not in wrong.value.message


@pytest.mark.parametrize(
    ("asked", "task", "spoken", "used"),
    [
        (None, "transcribe", "ru", "Мстислав Сергеевич. Лось. Globex. Initech. Acme."),
        (None, "translate", "ru", "Smith. Globex. Initech. Acme."),  # the text is English
        ("Bulgakov", "transcribe", "ru", "Bulgakov"),
        ("", "transcribe", "ru", ""),
    ],
)
def test_a_request_gets_the_operators_words_unless_it_says_otherwise(
    listed: hotwords.Hotwords, asked: str | None, task: Any, spoken: str, used: str
) -> None:
    """Its own words replace them; empty ones turn them off."""
    defaults = JobDefaults("auto", 5, condition_on_previous_text=False, hotwords=listed)
    options = defaults.job_options(TranscriptionOptions(hotwords=asked, task=task))
    assert options.with_words_for(spoken).hotwords == used


@pytest.mark.parametrize(
    ("text", "is_echo"),
    [
        ("гусев лось мстислав сергеевич", True),
        ("ну вот лось мстислав сергеевич аэлита да", True),
        ("гусев лось пришел", False),
        ("мстислав сергеевич лось", False),
    ],
)
def test_the_list_itself_is_an_echo_and_a_few_of_its_names_are_not(text: str, is_echo: bool) -> None:
    """People do say names one after the other, but not in the order of the list."""
    assert Echo(LIST).is_in(text.split()) is is_echo


def test_a_long_term_is_no_echo() -> None:
    """The name of a firm may have many words."""
    long = "Общество с ограниченной ответственностью Ромашка"
    for words in (f"{long}. Лось.", f"{long}.", long):
        assert not Echo(words).is_in(long.lower().split())


class Vocabulary:
    """Token n is word n of a text."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def token_to_id(self, token: str) -> int | None:
        known = {"<|endoftext|>": TEXT_END, "<|notimestamps|>": NO_TIMES, "<|startoftranscript|>": START}
        return known[token]

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """The three tokens that `PROMPT` has for the list."""
        assert (text, add_special_tokens) == (f" {LIST}", False)
        return PROMPT[1:4]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.words[number] for number in ids)


class Scripted:
    """A model that answers differently with hotwords and without."""

    def __init__(self, with_words: list[int]) -> None:
        self.with_words = with_words
        self.prompts: list[list[int]] = []

    def encode(self, _features: Any) -> str:
        return "window"

    def generate(self, _window: Any, prompts: list[list[int]], **_options: Any) -> Any:
        self.prompts += prompts
        said = self.with_words if BEFORE in prompts[0] else [0]
        return [SimpleNamespace(sequences_ids=[[NO_TIMES + 1, *said, NO_TIMES + 50]], scores=[-0.2])]


def ten_seconds() -> Any:
    """A window's mel frames."""
    mel = np.zeros((1, 80, 3000), np.float32)
    mel[:, :, :1000] = 1
    return mel


@pytest.mark.parametrize("harm", [[1] * 8, [0, 1, 1, 1], [1, 1], [], [2, 3, 4, 5]])
def test_a_window_that_goes_wrong_with_the_words_is_decoded_without_them(harm: list[int]) -> None:
    """It stays without them at higher temperatures; the next window gets them again."""
    inner = Scripted(harm)
    words = ["хлеб", "да", *"гусев лось мстислав сергеевич".split()]
    model = HotwordedModel(inner, Vocabulary(words), LIST, 448)
    for window in range(2):
        encoded = model.encode(ten_seconds())
        for _temperature in range(2):
            assert model.generate(encoded, [PROMPT], **OPTIONS)[0].sequences_ids[0][1] == 0
        assert inner.prompts[3 * window :] == [PROMPT, [START, 5], [START, 5]]


def test_without_the_words_the_text_before_stays_in_the_prompt() -> None:
    """It may be the request's own prompt."""
    inner = Scripted([1, 1])
    model = HotwordedModel(inner, Vocabulary(["хлеб", "да"]), LIST, 448)
    model.generate(model.encode(ten_seconds()), [[BEFORE, 1, 2, 3, 7, 8, START, 5]], **OPTIONS)
    assert inner.prompts[1] == [BEFORE, 7, 8, START, 5]


def test_words_and_the_text_before_fit_into_the_prompt_together() -> None:
    """faster-whisper bounds each by itself; together they can be more than ctranslate2 has positions for."""
    inner = Scripted([0, 2])
    model = HotwordedModel(inner, Vocabulary(["хлеб", "да", "гусев"]), LIST, 20)  # nine tokens before the start
    model.generate(model.encode(ten_seconds()), [[BEFORE, 1, 2, 3, *range(10, 19), START, 5]], **OPTIONS)
    assert inner.prompts == [[BEFORE, 1, 2, 3, *range(13, 19), START, 5]]


def test_a_window_that_goes_well_costs_one_decoding() -> None:
    """The words do no harm in most windows."""
    inner = Scripted([0, 2])
    model = HotwordedModel(inner, Vocabulary(["хлеб", "да", "гусев"]), LIST, 448)
    encoded = model.encode(ten_seconds())
    assert model.generate(encoded, [PROMPT], **OPTIONS)[0].sequences_ids[0][1:-1] == [0, 2]
    assert inner.prompts == [PROMPT]


def test_a_rest_that_is_not_decoded_is_not_blamed_on_the_words() -> None:
    """Its text is empty on purpose: a second try and a line in the log would be wrong."""
    inner = Scripted([0, 2])
    model = HotwordedModel(OneSound(inner, rests=False), Vocabulary(["хлеб", "да", "гусев"]), LIST, 448)
    rest = np.zeros((1, 80, 3000), np.float32)
    rest[:, :, :20] = 1
    with capture_logs() as logged:
        for window in (ten_seconds(), rest):
            said = model.generate(model.encode(window), [PROMPT], **OPTIONS)[0].sequences_ids[0]
    assert (said, inner.prompts, logged) == ([], [PROMPT], [])
