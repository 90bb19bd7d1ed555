"""What a caller reads about a mistake: which option, what was expected, what was probably meant."""

from datetime import UTC, datetime

import pytest

from sttd import errors
from sttd.client import _asked
from sttd.schemas.request import ContractError, Properties, parse

MISTAKES = [
    ("beam_size", "five", "whole number"),
    ("beam_size", 11, "at most 10"),
    ("beam_size", 0, "at least 1"),
    ("temperature", "hot", "a number"),
    ("task", "summarise", "'transcribe' or 'translate'"),
    ("vad", "maybe", "true or false"),
    ("languages", (), "at least 1"),
    ("hotwords", "x" * 1001, "at most 1000 characters"),
]


@pytest.mark.parametrize(("option", "value", "expected"), MISTAKES)
def test_a_wrong_value_names_its_option_and_what_is_expected(option: str, value: object, expected: str) -> None:
    """Not in pydantic's words, which speak of inputs and parsing."""
    with pytest.raises(errors.BadRequest, match=f"^bad_request: {option}: .*{expected}") as caught:
        _asked({option: value}, 60, progress=False)  # type: ignore[misc] # a mistake is no Options
    assert "Input" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "meant"), [("langauge", "language"), ("beamsize", "beam_size"), ("time_out", "timeout"), ("x", None)]
)
def test_an_unknown_option_names_the_one_that_was_probably_meant(wrong: str, meant: str | None) -> None:
    """A slip of the finger is found at a glance; nothing is guessed where nothing is near."""
    with pytest.raises(errors.BadRequest) as caught:
        _asked({wrong: "ru"}, 60, progress=False)  # type: ignore[misc] # a mistake is no Options
    assert wrong in str(caught.value)
    assert ("did you mean" in str(caught.value)) == (meant is not None)
    assert meant is None or f"mean {meant}?" in str(caught.value)


@pytest.mark.parametrize(
    ("properties", "body", "meant"),
    [
        (Properties(headers={"stt-langauge": "ru"}), b"OggS", "stt-language"),
        (Properties(content_type="application/json"), b'{"audio": "T2dn", "options": {"langauge": "ru"}}', "language"),
    ],
    ids=["header", "JSON"],
)
def test_the_daemon_says_the_same_to_callers_in_any_language(properties: Properties, body: bytes, meant: str) -> None:
    """A header gets a header's name, JSON an option's."""
    with pytest.raises(ContractError, match=f"did you mean {meant}\\?"):
        parse(properties, body, now=datetime.now(UTC))
