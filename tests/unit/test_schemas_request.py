"""A request as it arrives: the raw form, the JSON form, and each way of breaking the contract."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions
from sttd.schemas.reference import Reference
from sttd.schemas.request import ContractError, Properties, parse

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AUDIO = b"OggS\x00not really"


def read(properties: Properties, body: bytes) -> Any:
    """Parse with a fixed clock."""
    return parse(properties, body, now=NOW)


def refused(properties: Properties, body: bytes) -> ContractError:
    """Parse what must be refused."""
    with pytest.raises(ContractError) as caught:
        read(properties, body)
    return caught.value


def as_json(value: Any) -> bytes:
    """A JSON body."""
    return json.dumps(value).encode()


JSON = Properties(content_type="application/json")


@pytest.mark.parametrize(
    "label", [None, "", "audio/ogg", "text/plain", "application/octet-stream", "application/jsonx", "nonsense"]
)
def test_the_bytes_decide_and_not_their_label(label: str | None) -> None:
    """Bots label voice notes in every way; only `application/json` changes what the body is."""
    request = read(Properties(content_type=label), AUDIO)

    assert request.audio == AUDIO
    assert request.options.task == "transcribe"


@pytest.mark.parametrize(
    "label",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        " application/json ",
        "text/json",
        "application/vnd.bot.note+json",
    ],
)
def test_the_json_form_carries_audio_and_options(label: str) -> None:
    """For callers whose clients cannot send bytes or headers."""
    body = as_json({"audio": base64.b64encode(AUDIO).decode(), "options": {"language": "en", "word_timestamps": True}})

    request = read(Properties(content_type=label), body)

    assert (request.audio, request.options.language, request.options.word_timestamps) == (AUDIO, "en", True)


def test_json_without_options_has_the_defaults() -> None:
    """`options` may be left out."""
    assert read(JSON, as_json({"audio": base64.b64encode(AUDIO).decode()})).options == read(Properties(), AUDIO).options


def test_fields_of_json_that_are_null_were_not_set() -> None:
    """Go, Java and C# write every field of a type, PHP an empty list for no options; what must be there is missed."""
    text = base64.b64encode(AUDIO).decode()
    unset = dict.fromkeys(TranscriptionOptions.model_fields)
    fields: dict[str, Any]
    for fields in ({"audio_ref": None, "options": None}, {"options": unset}, {"options": []}):
        body: dict[str, Any] = {"audio": text, **fields}
        assert read(JSON, as_json(body)) == read(Properties(), AUDIO)
    named = read(JSON, as_json({"audio": None, "audio_ref": "s3://voice/note.ogg", "options": unset}))
    assert named.audio == Reference("voice", "note.ogg")
    assert refused(JSON, as_json({"audio": None, "audio_ref": None})).code is ErrorCode.BAD_REQUEST
    assert "language" in refused(JSON, as_json({"audio": text, "options": {"langauge": None}})).message


def test_json_may_begin_with_a_byte_order_mark() -> None:
    """Libraries of .NET write one."""
    body = b"\xef\xbb\xbf" + as_json({"audio": base64.b64encode(AUDIO).decode()})
    assert read(JSON, body).audio == AUDIO


def test_base64_may_be_broken_into_lines() -> None:
    """MIME encoders wrap at 76 characters."""
    wrapped = base64.encodebytes(AUDIO * 20).decode()

    assert read(JSON, as_json({"audio": wrapped})).audio == AUDIO * 20


DENSE = bytes(range(256))
"""Its base64 has both letters that the alphabets differ in."""

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "for URLs": lambda text: text.replace("+", "-").replace("/", "_"),
    "unpadded": lambda text: text.rstrip("="),
    "in lines": lambda text: "\r\n".join(wrap(text, 76)) + "\r\n",
    "in lines that are indented": lambda text: "\n  ".join(wrap(text, 40)),
    "data URL": lambda text: f"data:audio/ogg;base64,{text}",
    "data URL with parameters": lambda text: f"DATA:audio/ogg;codecs=opus;BASE64,{text}",
    "data URL with a comma in its label": lambda text: f"data:video/webm;codecs=vp8,opus;base64,{text}",
    "data URL with spaces": lambda text: f"data:audio/ogg; codecs=opus; base64, {text}",
    "with percents": lambda text: quote(text, safe=""),
    "behind a byte order mark": lambda text: f"\ufeff{text}",
    "in lines parted by spaces": lambda text: " ".join(wrap(text, 76)),
    "what a split at the semicolon leaves": lambda text: f"base64,{text}",
    "data URL without its beginning": lambda text: f"audio/ogg;base64,{text}",
    "with a prefix": lambda text: f"base64:{text}",
    "data URL without a type": lambda text: f"data:;base64,{text}",
    "data URL with percents": lambda text: f"data:audio/ogg;base64,{quote(text, safe='')}",
    "all at once": lambda text: "data:audio/ogg;base64," + "\n".join(wrap(text.rstrip("=").replace("+", "-"), 60)),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("length", [256, 255, 254])
def test_base64_is_taken_as_programs_write_it(spelling: str, length: int) -> None:
    """Browsers give data: URLs, JavaScript and Go no padding, tokens the URL alphabet: each is clear."""
    text = SPELLINGS[spelling](base64.b64encode(DENSE[:length]).decode())

    assert read(JSON, as_json({"audio": text})).audio == DENSE[:length]


MANY: Final = 8 * 1024 * 1024


@pytest.mark.parametrize(
    "text",
    [
        "%" * MANY,
        "%41" * (MANY // 3),
        "a " * (MANY // 2),
        "0123456789abcdef " * (MANY // 17) + "a" * 17,
        "0f" * (MANY // 2) + "g ",
        "=" * MANY,
    ],
    ids=["percents", "escapes", "spaces", "lines", "hexadecimal", "padding"],
)
def test_megabytes_of_what_is_not_base64_are_refused(text: str) -> None:
    """One list entry or exception for each character took ten seconds and half a gigabyte (issue 18)."""
    assert refused(JSON, as_json({"audio": text})).code in {ErrorCode.BAD_REQUEST, ErrorCode.AUDIO_EMPTY}


@pytest.mark.parametrize(
    "body",
    [
        b'{"options": {' + b",".join(b'"o%d":1' % number for number in range(MANY // 12)) + b"}}",
        b'{"audio": ["' + b'","' * (MANY // 3) + b'"]}',
        b'{"options": {"beam_size": [' + b"[],3:" * (MANY // 5),
        b"[" * MANY,
        b"{" * MANY,
    ],
    ids=["options", "strings", "lists", "depth", "objects"],
)
def test_megabytes_of_json_without_audio_are_refused_before_they_are_parsed(body: bytes) -> None:
    """Each unknown option would be compared with all names: minutes for a body of 20 MB."""
    error = refused(JSON, body)
    assert error.code is ErrorCode.BAD_REQUEST
    assert "more than 10,000 times" in error.message


def test_of_many_problems_the_first_ten_are_named() -> None:
    """Whoever writes a thousand unknown options needs no thousand sentences."""
    body = as_json({"options": {f"o{number}": 1 for number in range(1000)}})
    problems = refused(JSON, body).details["problems"]
    assert [problem["field"] for problem in problems] == [f"options.o{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("audio", "told"),
    [
        (None, "null was given"),
        ({"type": "Buffer", "data": [79, 103]}, "an object was given"),
        ([79, 103], "an array was given"),
        (7, "a number was given"),
        ("data:audio/ogg,OggS", "a data: URL without `;base64`"),
        (str(base64.b64encode(AUDIO)), "the text of a Python bytes object"),
        ("T2dnU", "cut off"),
        ("T2dnU===", "cut off"),
        ("T2 dnUwA", "spaces"),
        (base64.b64encode(DENSE * 3).decode().replace("+", " "), "spaces"),
        (DENSE.hex(), "hexadecimal"),
        (DENSE.hex().upper(), "hexadecimal"),
        ("T2dnUw==T2dnUw==", "not base64"),
        ("T2dn\u200bU", "not base64"),
        ("https://bot.example/note.ogg", "not base64"),
        ("data:audio/ogg;base64,%zz", "not base64"),
    ],
)
def test_base64_that_cannot_be_read_is_refused_with_what_is_expected(audio: Any, told: str) -> None:
    """`audio is not base64` does not help a caller who is sure that it is."""
    message = refused(JSON, as_json({"audio": audio})).message

    assert told in message
    assert "the audio file's bytes in base64 are expected" in message


def test_raw_options_come_from_headers() -> None:
    """The usual form: bytes in the body, options beside it."""
    request = read(
        Properties(headers={"stt-language": "en", "stt-beam-size": "3", "x-trace": "7", "sttd-attempt": 99}), AUDIO
    )

    assert (request.options.language, request.options.beam_size) == ("en", 3)


@pytest.mark.parametrize(
    "encoding",
    ["", "identity", "utf-8", "UTF-8", " Identity ", "utf8", "binary", "8bit", "7BIT", "us-ascii", "latin-1", "bytes"],
)
def test_encodings_that_mean_none_are_taken(encoding: str) -> None:
    """Some clients always name one: kombu `binary`, mail `8bit`. The JSON form may have one too."""
    body = as_json({"audio": base64.b64encode(AUDIO).decode()})

    assert read(Properties(content_encoding=encoding), AUDIO).audio == AUDIO
    assert read(Properties(content_type="application/json", content_encoding=encoding), body).audio == AUDIO


@pytest.mark.parametrize("encoding", ["windows-1251", "koi8-r", "ISO-8859-15", "cp866", "utf-8-sig"])
def test_a_charset_compresses_nothing(encoding: str) -> None:
    """.NET names that of its machine, for bytes too."""
    assert read(Properties(content_encoding=encoding), AUDIO).audio == AUDIO


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "base64", "utf-16"])
def test_nothing_is_ever_decompressed(encoding: str) -> None:
    """A kilobyte that unpacks to gigabytes is refused by its label, and the refusal lists the labels that are taken."""
    error = refused(Properties(content_encoding=encoding), AUDIO)

    assert error.code is ErrorCode.BAD_REQUEST
    assert "binary" in error.message


def test_options_in_headers_of_any_spelling_count() -> None:
    """As the option beside raw bytes.

    Refused beside a JSON body, which has options of its own; refused where two differ.
    """
    body = as_json({"audio": base64.b64encode(AUDIO).decode()})
    assert read(Properties(headers={"STT_Language": "en-US"}), AUDIO).options.language == "en"
    assert (
        "STT_Language"
        in refused(Properties(content_type="application/json", headers={"STT_Language": "en"}), body).details["headers"]
    )
    error = refused(Properties(headers={"STT_Language": "en", "stt-language": "ru"}), AUDIO)
    assert error.message == "stt-language: given twice with different values, as STT_Language and as stt-language"
    assert error.details["problems"][0]["field"] == "stt-language"


@pytest.mark.parametrize(
    ("properties", "body", "code"),
    [
        (Properties(), b"", ErrorCode.AUDIO_EMPTY),
        (JSON, b"", ErrorCode.AUDIO_EMPTY),
        (JSON, as_json({"audio": ""}), ErrorCode.AUDIO_EMPTY),
        (JSON, as_json({"audio": " \n "}), ErrorCode.AUDIO_EMPTY),
        (JSON, b"not json", ErrorCode.BAD_REQUEST),
        (JSON, b"\xff\xfe", ErrorCode.BAD_REQUEST),
        (JSON, b"[" * 5000, ErrorCode.BAD_REQUEST),
        (JSON, as_json([]), ErrorCode.BAD_REQUEST),
        (JSON, as_json(None), ErrorCode.BAD_REQUEST),
        (JSON, as_json({}), ErrorCode.BAD_REQUEST),
        (JSON, as_json({"audio": 7}), ErrorCode.BAD_REQUEST),
        (JSON, as_json({"audio": None}), ErrorCode.BAD_REQUEST),
        (JSON, as_json({"audio": "not base64!"}), ErrorCode.BAD_REQUEST),
        (JSON, as_json({"audio": "T2dnU"}), ErrorCode.BAD_REQUEST),
        (JSON, as_json({"audio": "data:audio/ogg;base64,"}), ErrorCode.AUDIO_EMPTY),
        (JSON, as_json({"audio": "T2dn\u00e9w=="}), ErrorCode.BAD_REQUEST),
        (JSON, as_json({"audio": "T2dnUw==", "url": "http://localhost/"}), ErrorCode.BAD_REQUEST),
        (JSON, as_json({"audio": "T2dnUw==", "options": {"langauge": "ru"}}), ErrorCode.BAD_REQUEST),
        (JSON, as_json({"audio": "T2dnUw==", "options": {"beam_size": 100}}), ErrorCode.BAD_REQUEST),
        (
            Properties(content_type="application/json", headers={"stt-vad": "true"}),
            as_json({"audio": "T2dnUw=="}),
            ErrorCode.BAD_REQUEST,
        ),
        (Properties(headers={"stt-langauge": "ru"}), AUDIO, ErrorCode.BAD_REQUEST),
        (Properties(headers={"stt-beam-size": "100"}), AUDIO, ErrorCode.BAD_REQUEST),
    ],
)
def test_each_bad_variant_is_refused_with_its_code(properties: Properties, body: bytes, code: ErrorCode) -> None:
    """The caller is answered at once and by a code that is not retried."""
    error = refused(properties, body)

    assert error.code is code
    assert not error.code.retryable
    assert error.message


def test_a_refusal_names_the_field_and_never_quotes_the_value() -> None:
    """Values may be speech or secrets, and refusals go into logs."""
    secret = "very-secret-prompt"
    error = refused(JSON, as_json({"audio": "T2dnUw==", "options": {"initial_prompt": [secret], "beam_size": secret}}))

    assert "options.initial_prompt" in error.message
    assert {problem["field"] for problem in error.details["problems"]} == {
        "options.initial_prompt",
        "options.beam_size",
    }
    assert secret not in error.message + json.dumps(error.details)


@pytest.mark.parametrize("options", [{"x" * 1_000_000: 1}, {"language": "y" * 1_000_000}], ids=["name", "value"])
def test_a_long_name_or_value_does_not_come_back_whole(options: dict[str, Any]) -> None:
    """A megabyte in, a few hundred characters out."""
    error = refused(JSON, as_json({"audio": "T2dnUw==", "options": options}))

    assert len(error.message) + len(json.dumps(error.details)) < 1500


def test_a_refusal_stays_small() -> None:
    """A thousand unknown options do not make a reply of a thousand lines."""
    error = refused(JSON, as_json({"audio": "T2dnUw==", "options": {f"unknown{i}": i for i in range(300)}}))

    assert len(error.details["problems"]) == 10
    assert len(error.message) <= 500


@given(st.binary(max_size=200), st.sampled_from([None, "application/json"]))
def test_any_bytes_are_a_request_or_a_refusal(body: bytes, content_type: str | None) -> None:
    """No input passes the contract as another exception."""
    refusal: ErrorCode | None = None
    try:
        assert read(Properties(content_type=content_type), body).audio
    except ContractError as error:
        refusal = error.code

    assert refusal in {None, ErrorCode.BAD_REQUEST, ErrorCode.AUDIO_EMPTY}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_any_json_is_a_request_or_a_refusal(value: Any) -> None:
    """The same for bodies that are JSON but not ours."""
    refused(JSON, as_json({"audio": value, "more": value}))


@pytest.mark.parametrize(
    "given", ["s3://voice/in/note.ogg", {"bucket": "voice", "key": "in/note.ogg"}], ids=["one text", "both names"]
)
def test_the_json_form_may_say_where_the_audio_is(given: Any) -> None:
    """For files that are too large for a message."""
    request = read(JSON, as_json({"audio_ref": given, "options": {"language": "en"}}))

    assert request.audio == Reference("voice", "in/note.ogg")
    assert str(request.audio) == "s3://voice/in/note.ogg"
    assert request.options.language == "en"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"audio_ref": None},
        {"audio": "AAAA", "audio_ref": "s3://voice/note.ogg"},
        {"audio_ref": ["s3://voice/note.ogg"]},
        {"audio_ref": {"bucket": "voice"}},
        {"audio_ref": {"bucket": "voice", "key": "note.ogg", "endpoint": "http://127.0.0.1/"}},
        {"audio_ref": "s3://voice/" + "x" * 2000},
    ],
    ids=["neither", "null", "both", "list", "no key", "an address", "too long"],
)
def test_exactly_one_of_audio_and_reference_is_given(body: Any) -> None:
    """The meaning must be plain; a caller cannot give the address of a store."""
    assert refused(JSON, as_json(body)).code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(
    "given",
    [
        "http://127.0.0.1/note.ogg",
        "https://voice.s3.amazonaws.com/note.ogg",
        "file:///etc/passwd",
        "S3://voice/note.ogg",
        "s3://voice",
        "s3://voice/",
        "s3:///note.ogg",
        "s3://user:secret@voice/note.ogg",
        "s3://voice:9000/note.ogg",
        "s3://..voice/note.ogg",
        "s3://voice/../secrets/note.ogg",
        "s3://voice/a/./note.ogg",
        "s3://voice/a//note.ogg",
        "s3://voice//etc/passwd",
        "s3://voice/note\r\nHost: elsewhere",
        {"bucket": "arn:aws:s3:eu:1:accesspoint/x", "key": "note.ogg"},
        {"bucket": "voice/secrets", "key": "note.ogg"},
    ],
)
def test_what_names_no_object_is_denied_without_being_quoted(given: Any) -> None:
    """Only bucket and key can be given, and no key can climb out of its prefix."""
    told = refused(JSON, as_json({"audio_ref": given}))

    assert (told.code, told.details) == (ErrorCode.AUDIO_REF_DENIED, {"reason": "malformed"})
    assert "secret" not in told.message
