"""What becomes of a request that asks more of an engine than it can: refused by name, or ignored by name."""

from dataclasses import replace
from typing import Any

import pytest

from sttd.consumer.engine.abilities import HINTS, Abilities
from sttd.consumer.engine.transcriber import JobOptions
from sttd.consumer.errors import RequestFailed
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions
from tests.support.fakes import ABLE

RUSSIAN = replace(
    ABLE,
    engine="onnx",
    model="/srv/models/gigaam",
    languages=frozenset({"ru"}),
    translates=False,
    hints=frozenset(),
    word_times=False,
)
BY = "the engine onnx with the model gigaam"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"language": "en"}, f"language: {BY} does not support en; ask for ru"),
        ({"language": "auto", "languages": ("en", "de")}, f"languages: {BY} does not support en, de; ask for ru"),
        ({"task": "translate"}, f"task: {BY} does not translate; ask for transcribe"),
        ({"word_timestamps": True}, f"word_timestamps: {BY} gives no times of words; leave the option out"),
    ],
)
def test_what_would_change_the_answer_is_refused_with_the_next_step(asked: dict[str, Any], told: str) -> None:
    """The sentence names the option, the engine and what to do, and no directory of the operator's."""
    with pytest.raises(RequestFailed) as caught:
        RUSSIAN.refuse(replace(JobOptions("ru", "ru"), **asked))
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.message == f"{told}, or send the request to the queue of another engine"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"language": "auto"},
        {"language": "auto", "languages": ("en", "ru")},
        {"beam_size": 1, "temperature": 0.0, "initial_prompt": "a", "hotwords": "b", "vad": False},
    ],
)
def test_what_the_engine_can_answer_is_not_refused(asked: dict[str, Any]) -> None:
    """`auto` asks for the language that is spoken: of an engine with one language it is that one."""
    RUSSIAN.refuse(replace(JobOptions("ru", "ru"), **asked))


def test_an_engine_of_many_languages_does_not_list_them() -> None:
    """A hundred codes are no next step."""
    lacking = replace(ABLE, languages=ABLE.languages - {"yue"})
    with pytest.raises(RequestFailed, match="does not support yue, or send"):
        lacking.refuse(JobOptions("yue", "ru"))


@pytest.mark.parametrize(("able", "named"), [(ABLE, []), (RUSSIAN, list(HINTS))])
def test_hints_that_an_engine_has_no_use_for_are_named(able: Abilities, named: list[str]) -> None:
    """Nothing is ignored in silence."""
    asked = TranscriptionOptions(initial_prompt="a", hotwords="b", beam_size=1, temperature=0.0)
    assert able.ignored(asked) == named


def test_what_was_not_asked_for_is_not_named() -> None:
    """Empty hotwords turn the operator's off; that is so without any."""
    assert RUSSIAN.ignored(TranscriptionOptions(hotwords="", language="ru", vad=False)) == []
