"""What the client refuses before it sends, how it names errors, and what it never shows."""

from __future__ import annotations

import asyncio
import io
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from sttd import Client, errors
from sttd.client import _asked, _doubt_clocks, _id
from sttd.commands.exit_codes import Exit
from sttd.content import _read, content_of
from sttd.options import Options
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions, from_headers, to_headers
from sttd.schemas.reference import Reference
from sttd.schemas.reply import Failure, FailureDetail
from sttd.schemas.request import Properties, parse
from sttd.settings import ClientSettings, load

SECRET_URL = "amqp://bot:s3cret%2F@rabbit.example:5673/voice"


@pytest.fixture(autouse=True)
def _no_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's `.env` must not reach these tests."""
    monkeypatch.setitem(ClientSettings.model_config, "env_file", None)


def test_the_keyword_arguments_are_the_options_of_the_contract() -> None:
    """The typed signature may not drift from the contract's model."""
    assert set(get_type_hints(Options)) == set(TranscriptionOptions.model_fields)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"language": "klingon"}, "language"),
        ({"languages": []}, "languages"),
        ({"languages": "ru,en"}, "languages"),
        ({"task": "summarise"}, "task"),
        ({"beam_size": 0}, "beam_size"),
        ({"beam_size": "5"}, "beam_size"),
        ({"temperature": 1.5}, "temperature"),
        ({"word_timestamps": "yes"}, "word_timestamps"),
        ({"initial_prompt": "x" * 1001}, "initial_prompt"),
        ({"deadline": "tomorrow"}, "deadline"),
        ({"wrod_timestamps": True}, "wrod_timestamps"),
    ],
)
def test_a_bad_option_is_refused_at_once_and_by_name(options: dict[str, Any], field: str) -> None:
    """A typo costs no round trip, and the message says which option it was."""
    with pytest.raises(errors.BadRequest, match=f"^bad_request: {field}: ") as caught:
        _asked(options, 60, progress=False)  # type: ignore[arg-type] # that is the point
    assert caught.value.details["problems"][0]["field"] == field
    assert not caught.value.retryable


def test_options_reach_the_daemon_as_they_were_given() -> None:
    """What goes into headers comes out of them at the other end."""
    given: Options = {
        "language": "auto",
        "languages": ["ru", "en"],
        "word_timestamps": True,
        "vad": False,
        "beam_size": 3,
        "temperature": 0,
        "hotwords": None,
    }
    parsed = TranscriptionOptions.model_validate(from_headers(to_headers(_asked(given, math.inf, progress=False))))
    assert parsed.model_dump(exclude_unset=True) == {
        "language": "auto",
        "languages": ("ru", "en"),
        "word_timestamps": True,
        "vad": False,
        "beam_size": 3,
        "temperature": 0.0,
    }


def test_the_timeout_becomes_the_deadline_unless_one_is_given() -> None:
    """The daemon must not work for a caller who has left; without a timeout there is no deadline."""
    begun = datetime.now(UTC)
    headers = to_headers(_asked({}, 60, progress=True))
    ended = datetime.now(UTC)
    deadline = datetime.fromisoformat(headers["stt-deadline"])
    assert begun <= deadline - timedelta(seconds=60) <= ended
    assert headers["stt-progress"] == "true"
    chosen = datetime.now(UTC) + timedelta(hours=1)
    assert (
        datetime.fromisoformat(to_headers(_asked({"deadline": chosen}, 60, progress=False))["stt-deadline"]) == chosen
    )
    assert to_headers(_asked({}, math.inf, progress=False)) == {}


@pytest.mark.parametrize("timeout", [0, -1, 86_401, math.nan])
def test_a_timeout_out_of_range_is_refused(timeout: float) -> None:
    """The contract takes deadlines up to 24 h ahead; a longer wait has to be asked for as none at all."""
    with pytest.raises(errors.BadRequest, match="timeout"):
        to_headers(_asked({}, timeout, progress=False))


@pytest.mark.parametrize("given", ["", "x" * 256, "я" * 128])
def test_a_correlation_id_that_amqp_cannot_carry_is_refused(given: str) -> None:
    """255 bytes, not characters."""
    with pytest.raises(errors.BadRequest, match="correlation_id"):
        _id("correlation_id", given)


async def test_audio_is_bytes_a_path_or_an_open_binary_file(tmp_path: Path) -> None:
    """All that a bot may have in hand; a file opened as text is a mistake worth naming."""
    note = tmp_path / "note.ogg"
    note.write_bytes(b"OggS")
    for audio in (b"OggS", bytearray(b"OggS"), memoryview(b"OggS"), note, str(note), io.BytesIO(b"OggS")):
        assert await _read(audio) == b"OggS"
    with pytest.raises(TypeError, match="binary"):
        await _read(io.StringIO("OggS"))  # type: ignore[arg-type] # that is the point
    with pytest.raises(FileNotFoundError):
        await _read(tmp_path / "missing.ogg")


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_documented_code_has_its_exception_class(code: ErrorCode) -> None:
    """A bot catches families; a code without one would only be caught by the base."""
    detail = FailureDetail(code=code, message="m", retryable=code.retryable, details={"a": 1})
    error = errors.from_failure(Failure(correlation_id=None, message_id="m1", error=detail, attempt=1, worker="w"))
    assert type(error) is errors.FAMILY[code]
    assert (error.code, error.retryable, error.details, error.message_id) == (code, code.retryable, {"a": 1}, "m1")


def test_a_code_of_a_newer_daemon_is_still_a_failure_with_its_flag() -> None:
    """Readers treat an unknown code by `retryable`."""
    detail = FailureDetail(code="too_hot", message="m", retryable=True)
    error = errors.from_failure(Failure(correlation_id=None, message_id=None, error=detail, attempt=1, worker="w"))
    assert type(error) is errors.TranscriptionFailed
    assert (error.code, error.retryable) == ("too_hot", True)


def test_an_expiry_long_before_the_timeout_points_at_the_clocks() -> None:
    """Two machines whose clocks disagree are hard to find out otherwise."""
    expired = errors.Expired("expired", "too late")
    assert not hasattr(_doubt_clocks(expired, 1), "__notes__")
    assert "clocks" in _doubt_clocks(expired, 100).__notes__[0]


def test_neither_repr_nor_errors_show_the_password() -> None:
    """A client ends up in logs."""
    client = Client(SECRET_URL)
    assert "s3cret" not in repr(client)
    assert "rabbit.example:5673/voice" in repr(client)
    assert "closed, 0 in flight" in repr(client)
    assert "s3cret" not in repr(load(amqp_url=SECRET_URL))


@pytest.mark.parametrize("url", ["http://u:s3cret@host/", "amqp://u:s3cret@host:port/", "s3cret", "amqp://"])
def test_a_malformed_url_is_refused_without_quoting_it(url: str) -> None:
    """Most malformed URLs are passwords with a special character in them."""
    with pytest.raises(errors.SettingsInvalid, match="STTD_AMQP_URL") as caught:
        Client(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_come_from_the_environment_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """One place for a bot and the command line alike."""
    monkeypatch.setenv("STTD_AMQP_URL", SECRET_URL)
    monkeypatch.setenv("STTD_TIMEOUT", "12")
    assert (load().broker, load().timeout, load(timeout=7).timeout) == ("rabbit.example:5673/voice", 12, 7)
    monkeypatch.setenv("STTD_TIMEOUT", "soon")
    with pytest.raises(errors.SettingsInvalid, match="STTD_TIMEOUT"):
        load()


async def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    """Forgetting `async with` must not hang."""
    client = Client()
    with pytest.raises(errors.ClientClosed, match="async with"):
        await asyncio.wait_for(client.transcribe(b"x"), 120)


def test_the_page_for_bot_developers_names_every_option_error_code_and_exit_code() -> None:
    """docs/client.md is the contract of this library; it must not fall behind."""
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
    for option in TranscriptionOptions.model_fields:
        assert f"`{option}`" in page
    for code in set(ErrorCode) - {ErrorCode.BAD_REPLY_TO}:  # that one cannot reach its caller
        assert f"`{code}`" in page
    for kind in (
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.SttdClientError)
    ):
        assert f"`{kind.__name__}`" in page or f"`sttd.{kind.__name__}`" in page
    for exit_code in Exit:
        assert f"| {int(exit_code)} |" in page


async def test_a_reference_travels_as_json_with_its_options() -> None:
    """Options of a JSON body go into it, in the types of the contract; only what was set."""
    asked = _asked({"language": "en", "beam_size": 3, "vad": False}, math.inf, progress=True)

    sent = await content_of(Reference("voice", "in/большой файл.wav"), asked)

    assert (sent.content_type, dict(sent.headers)) == ("application/json", {})
    read = parse(Properties(content_type=sent.content_type), sent.body, now=datetime.now(UTC))
    assert (read.audio, read.options) == (Reference("voice", "in/большой файл.wav"), asked)


async def test_a_deadline_in_json_is_the_one_that_was_meant() -> None:
    """The client's timeout reaches the daemon by this way too."""
    asked = _asked({}, 60, progress=False)

    sent = await content_of(Reference("voice", "note.ogg"), asked)

    read = parse(Properties(content_type=sent.content_type), sent.body, now=datetime.now(UTC))
    assert read.options.deadline == asked.deadline


async def test_a_reference_that_names_no_object_is_refused_before_it_is_sent() -> None:
    """With the code that the daemon would give."""
    with pytest.raises(errors.RejectedAudio, match="audio_ref_denied"):
        await content_of(Reference("voice", "../secrets"), _asked({}, 60, progress=False))
