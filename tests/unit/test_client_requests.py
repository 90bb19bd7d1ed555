"""What the client refuses before it sends, how it names errors, and what it never shows."""

import asyncio
import io
import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, get_type_hints
from uuid import UUID

import numpy as np
import pytest

from sttd import Client, errors
from sttd.arguments import check, identifier
from sttd.call_options import Options
from sttd.client import _asked, _doubt_clocks
from sttd.commands.exit_codes import Exit
from sttd.content import _read, content_of
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions, from_headers, to_headers
from sttd.schemas.reference import Reference
from sttd.schemas.reply import Failure, FailureDetail
from sttd.schemas.request import Properties, parse
from sttd.settings import load

SECRET_URL = "amqp://bot:s3cret%2F@rabbit.example:5673/voice"


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
    """A typo costs no round trip, and the message names the option."""
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


@pytest.mark.parametrize("timeout", [0, -1, 86_401, 10**400, math.nan, -math.inf])
def test_a_timeout_out_of_range_is_refused(timeout: float) -> None:
    """The contract takes deadlines up to 24 h ahead; a longer wait has to be asked for as none at all."""
    with pytest.raises(errors.BadRequest, match="timeout"):
        check(timeout=timeout, queue=None, on_progress=None)


@pytest.mark.parametrize("given", ["", "x" * 256, "я" * 128])
def test_a_correlation_id_that_amqp_cannot_carry_is_refused(given: str) -> None:
    """255 bytes, not characters."""
    with pytest.raises(errors.BadRequest, match="correlation_id"):
        identifier("correlation_id", given)


class Chat(IntEnum):
    """A bot's own numbers."""

    OWN = 77


class Kind(str, Enum):  # noqa: UP042 - as bots write it, also for Python 3.10
    """A bot's own texts, of which `str()` is another text."""

    VOICE = "voice"


def test_ids_of_bot_frameworks_are_taken() -> None:
    """Chats and updates have integers, queues have UUIDs: both have one text."""
    own = UUID("0d9f4f0e-6d0f-4a52-9a37-5b6e2f6f3c11")
    assert [identifier("correlation_id", given) for given in (12345, -7, 0, own, "a")] == [
        "12345",
        "-7",
        "0",
        str(own),
        "a",
    ]
    assert [identifier("message_id", given) for given in (Chat.OWN, Kind.VOICE)] == ["77", "voice"]
    assert identifier("correlation_id", None) != identifier("correlation_id", None)


def test_whom_a_request_is_for_may_be_an_id_of_the_framework() -> None:
    """A chat's id is an integer wherever bots come from, numpy's in a table of them."""
    for given, text in ((-1001234567890, "-1001234567890"), (Chat.OWN, "77"), (np.int64(42), "42"), ("a", "a")):
        assert _asked({"caller": given}, math.inf, progress=False).caller == text  # type: ignore[typeddict-item] # numpy's
        assert identifier("correlation_id", given) == text  # type: ignore[arg-type] # the same
    wrong: Any
    for wrong in (True, 1.5, np.zeros(3), object()):
        with pytest.raises(errors.WrongArgument, match=r"caller: .*expected: text, an integer or a UUID"):
            _asked({"caller": wrong}, math.inf, progress=False)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("correlation_id", True, "a value of type bool was given; expected: text, an integer or a UUID"),
        ("correlation_id", 1.5, "a value of type float was given"),
        ("message_id", b"12345", "a value of type bytes was given"),
        ("message_id", object, "the class object was given"),
        ("message_id", "\ud800", "half a surrogate pair"),
    ],
)
def test_an_id_of_another_kind_is_named(name: str, given: Any, told: str) -> None:
    """Until now: AttributeError, from within."""
    with pytest.raises(errors.WrongArgument, match=f"{name}: .*{told}"):
        identifier(name, given)


async def _async_callback(_: object) -> None:
    """Would never be awaited."""


class AsyncCallable:
    """Would not be either."""

    async def __call__(self, _: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"timeout": "60"}, "timeout: a value of type str was given; expected: seconds, as a number"),
        ({"timeout": timedelta(seconds=60)}, "timeout: a value of type timedelta"),
        ({"timeout": True}, "timeout: a value of type bool"),
        ({"queue": b"stt.requests"}, "queue: a value of type bytes"),
        ({"on_progress": "print"}, "on_progress: a value of type str"),
        ({"on_progress": _async_callback}, "on_progress: an async function"),
        ({"on_progress": AsyncCallable()}, "on_progress: an async function"),
    ],
)
def test_other_arguments_of_a_wrong_kind_are_named(wrong: dict[str, Any], told: str) -> None:
    """Before anything is sent, in the words of the call."""
    given: dict[str, Any] = {"timeout": None, "queue": None, "on_progress": None}
    check(**given)
    with pytest.raises(errors.WrongArgument, match=told):
        check(**(given | wrong))


@pytest.mark.parametrize("queue", ["x" * 300, "речь", "a\ud800", "amq.gen-x"])
def test_a_queue_that_no_daemon_can_have_is_refused_before_anything_is_sent(queue: str) -> None:
    """The library's ValueError is none of the client's errors, and names no step."""
    with pytest.raises(errors.BadRequest, match="queue: the name must have"):
        check(timeout=None, queue=queue, on_progress=None)
    with pytest.raises(errors.SettingsInvalid, match="STTD_REQUEST_QUEUE: must have"):
        load(request_queue=queue)


async def test_audio_is_bytes_a_path_or_an_open_binary_file(tmp_path: Path) -> None:
    """All that a bot may have in hand; a file opened as text is a mistake worth naming."""
    note = tmp_path / "note.ogg"
    note.write_bytes(b"OggS")
    for audio in (b"OggS", bytearray(b"OggS"), memoryview(b"OggS"), note, str(note), io.BytesIO(b"OggS")):
        assert await _read(audio) == b"OggS"
    with pytest.raises(TypeError, match="binary"):
        await _read(io.StringIO("OggS"))
    with pytest.raises(FileNotFoundError):
        await _read(tmp_path / "missing.ogg")


class AsyncFile:
    """As aiofiles and FastAPI's UploadFile have it."""

    async def read(self) -> bytes:
        return b"OggS"


class HiddenAsyncFile:
    """The same behind a plain function."""

    def read(self) -> Any:
        return AsyncFile().read()


async def _download() -> bytes:
    return b"OggS"


def closed(file: io.BytesIO) -> io.BytesIO:
    """A file that was closed, as by the end of its `with`."""
    file.close()
    return file


class FrameworksFile:
    """As aiogram has it: reading needs the bot."""

    async def read(self, bot: object) -> AsyncIterator[bytes]:
        yield bytes(str(bot), "ascii")


class HttpxAnswer:
    """As httpx has it when the answer was streamed to an async client."""

    def read(self) -> bytes:
        raise RuntimeError("Attempted to call a sync iterator on an async stream")


WRONG_AUDIO: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing": (lambda _: None, "None was given"),
    "coroutine": (lambda _: _download(), "a coroutine that was not awaited"),
    "future": (lambda _: asyncio.get_running_loop().create_future(), "a Future that was not awaited"),
    "async file": (lambda _: AsyncFile(), r"an async file \(AsyncFile\), of which `await file.read\(\)`"),
    "async file in disguise": (lambda _: HiddenAsyncFile(), "an async file"),
    "stream": (lambda _: asyncio.StreamReader(), "an async file"),
    "framework's file": (lambda _: FrameworksFile(), "FrameworksFile, whose read.. wants arguments"),
    "streamed answer": (lambda _: HttpxAnswer(), r"HttpxAnswer, whose read\(\) raises RuntimeError \(Attempted"),
    "framework's object": (lambda _: UUID(int=0), "a value of type UUID"),
    "number": (lambda _: 12345, "a value of type int"),
    "list": (lambda _: [79, 103], "a value of type list"),
    "class": (lambda _: io.BytesIO, "the class BytesIO"),
    "empty text": (lambda _: "", "an empty str"),
    "web address": (lambda _: "https://api.example/file/note.ogg", "a https: URL"),
    "store's address": (lambda _: "s3://voice/note.ogg", "a s3: URL"),
    "data: URL": (lambda _: "data:audio/ogg;base64,T2dnUw==", "a data: URL"),
    "base64": (lambda _: "T2dnUw" * 2000, "text of 12,000 characters"),
    "text with NUL": (lambda _: "OggS\0", "characters that no path has"),
    "bytes as text": (lambda _: "Ogg\ud800", "characters that no path has"),
    "text file": (lambda path: (path / "t").open("w+"), "a file opened in text mode"),
    "file for writing": (lambda path: (path / "w").open("wb"), "not open for reading"),
    "closed file": (lambda _: closed(io.BytesIO(b"OggS")), "a closed file"),
}


@pytest.mark.parametrize("what", WRONG_AUDIO)
async def test_what_is_no_audio_is_named_beside_what_is_expected(what: str, tmp_path: Path) -> None:
    """The bot's mistake: BadRequest and TypeError in one; RejectedAudio would blame the recording."""
    make, told = WRONG_AUDIO[what]
    given = make(tmp_path)
    with pytest.raises(errors.WrongArgument, match=f"audio: .*{told}.*expected: the bytes of an audio file") as caught:
        await _read(given)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, errors.BadRequest)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    if isinstance(given, io.IOBase):
        given.close()


async def test_a_path_that_leads_to_no_file_says_what_is_expected(tmp_path: Path) -> None:
    """Still the OSError that it was."""
    with pytest.raises(IsADirectoryError, match="a folder was given; expected: a file's path"):
        await _read(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="or the audio itself as bytes"):
        await _read("AwACAgIAAxkBAAIB")  # a messenger's id of a file


async def test_empty_audio_says_where_it_was_lost(tmp_path: Path) -> None:
    """An empty voice note cannot be sent: a download failed, or a file was read before."""
    read_before, note = io.BytesIO(b"OggS"), tmp_path / "note.ogg"
    read_before.read()
    note.touch()
    for audio, told in ((b"", "0 bytes were given"), (note, "has 0 bytes"), (read_before, "seek")):
        with pytest.raises(errors.RejectedAudio, match=f"the audio is empty: .*{told}.*expected") as caught:
            await _read(audio)
        assert caught.value.code == "audio_empty"


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


@pytest.mark.parametrize(
    "url",
    ["http://u:s3cret@host/", "amqp://u:s3cret@host:port/", "amqp://u:12/s3cret@host/", "s3cret", "amqp://"],
)
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
    monkeypatch.setenv("STTD_TIMEOUT", "inf")
    assert load().timeout == math.inf
    for wrong in ("soon", "86401"):  # with the second every call would be refused
        monkeypatch.setenv("STTD_TIMEOUT", wrong)
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

    sent = content_of(Reference("voice", "in/большой файл.wav"), asked)

    assert (sent.content_type, dict(sent.headers)) == ("application/json", {})
    read = parse(Properties(content_type=sent.content_type), sent.body, now=datetime.now(UTC))
    assert (read.audio, read.options) == (Reference("voice", "in/большой файл.wav"), asked)


async def test_a_deadline_in_json_is_the_one_that_was_meant() -> None:
    """The client's timeout reaches the daemon by this way too."""
    asked = _asked({}, 60, progress=False)

    sent = content_of(Reference("voice", "note.ogg"), asked)

    read = parse(Properties(content_type=sent.content_type), sent.body, now=datetime.now(UTC))
    assert read.options.deadline == asked.deadline


async def test_a_reference_that_names_no_object_is_refused_before_it_is_sent() -> None:
    """With the code that the daemon would give."""
    with pytest.raises(errors.RejectedAudio, match="audio_ref_denied"):
        content_of(Reference("voice", "../secrets"), _asked({}, 60, progress=False))
