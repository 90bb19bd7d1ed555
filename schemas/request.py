"""A request as it arrives: AMQP properties and body in, a validated `Request` or a `ContractError` out.

Pure: the clock and the limits are passed in.
"""

import codecs
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sttd.schemas import base64_text, options, reference
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions
from sttd.schemas.reference import AudioRef, Reference
from sttd.schemas.validation import problems

JSON_TYPE: Final = "application/json"
MOST_MARKS: Final = 10_000
"""Of one kind in a JSON body. Base64 has none, and options are few; 20 MB of them would take minutes and gigabytes."""
MARKS: Final = (b",", b":", b'"', b"[", b"{")
LONGEST_WORDS: Final = 200  # characters of one problem: an option's name, or a language, may be megabytes long
PLAIN_ENCODINGS: Final = frozenset(
    {"", "none", "identity", "utf-8", "utf8", "utf_8", "ascii", "us-ascii", "latin-1", "latin1", "iso-8859-1"}
    | {"binary", "raw", "8bit", "7bit", "bytes", "buffer", "octet-stream", "application/octet-stream", "null"}
)
"""Names of clients for bytes or text without an encoding: `binary` in kombu, `8bit` in mail."""
_CHARSET: Final = re.compile(r"(?:windows-?|cp-?|iso-?8859-|latin-?)\d+|koi8-[ru]|utf-8-sig")
"""Tables of letters with ASCII in them, as .NET names that of its machine; they compress nothing either."""


class ContractError(Exception):
    """The request breaks the contract; `code` and `message` go back to the caller."""

    def __init__(self, code: ErrorCode, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details or {})


def _exactly_one(schema: dict[str, Any]) -> None:
    """Write `_one_of_both` in JSON Schema: neither has a default, and an absent one is not null."""
    either = schema["properties"]
    for name in ("audio", "audio_ref"):
        del either[name]["default"]
    either["audio_ref"]["anyOf"] = [way for way in either["audio_ref"]["anyOf"] if way != {"type": "null"}]
    schema["oneOf"] = [{"required": ["audio"]}, {"required": ["audio_ref"]}]


class JsonRequest(BaseModel):
    """The body of a request with `content_type: application/json`: exactly one of `audio` and `audio_ref`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=_exactly_one)

    audio: Annotated[bytes, BeforeValidator(base64_text.decoded, json_schema_input_type=str)] = Field(
        default=b"",
        description="The audio file's bytes in base64: the standard alphabet or the one for URLs, with or without "
        "padding, line breaks and `data:audio/ogg;base64,` in front.",
        json_schema_extra={"contentEncoding": "base64"},
    )
    audio_ref: AudioRef | None = Field(
        default=None,
        description="Where the audio lies in the object store that the daemon's operator has set up: "
        "`s3://bucket/key`, or both names.",
        examples=["s3://voice/2026/note.ogg", {"bucket": "voice", "key": "2026/note.ogg"}],
    )
    options: TranscriptionOptions = TranscriptionOptions()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any) -> Any:
        """As in the options; `audio` too, where a reference is given in its place. PHP writes `[]` for no options."""
        found = options.without_nulls(given, ("audio_ref", "options"))
        if isinstance(found, dict) and found.get("options") == []:
            del found["options"]
        return options.without_nulls(found, ("audio",)) if isinstance(found, dict) and "audio_ref" in found else found

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if ("audio" in self.model_fields_set) == (self.audio_ref is not None):
            raise ValueError("exactly one of `audio` and `audio_ref` must be given")
        return self


@dataclass(frozen=True, slots=True)
class Properties:
    """The AMQP properties that the contract reads. `expiration` in seconds; times are aware."""

    content_type: str | None = None
    content_encoding: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    message_id: str | None = None
    expiration: float | None = None
    timestamp: datetime | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that keeps the contract. `audio`: the file's bytes as the caller had them, or where they are."""

    audio: bytes | Reference
    options: TranscriptionOptions


def parse(properties: Properties, body: bytes, *, now: datetime) -> Request:
    """Read one request; raises `ContractError` with the code and the message for the caller.

    `properties`: of the message; `body`: as received; `now`: aware, for deadlines.
    """
    encoding = (properties.content_encoding or "").strip().lower()
    if encoding not in PLAIN_ENCODINGS and not _CHARSET.fullmatch(encoding):
        raise ContractError(
            ErrorCode.BAD_REQUEST,
            "content_encoding must be absent, or one of identity, binary, 8bit, 7bit, utf-8, ascii: nothing is ever "
            "decompressed",
        )
    if not body:
        raise ContractError(ErrorCode.AUDIO_EMPTY, "the message body is empty")
    request = _parse_json(properties, body, now) if _is_json(properties) else _parse_raw(properties, body, now)
    if not request.audio:
        raise ContractError(ErrorCode.AUDIO_EMPTY, "the audio is empty")
    return request


def _is_json(properties: Properties) -> bool:
    """The type itself, also as `text/json` and with a structure's name: `application/problem+json`."""
    kind = (properties.content_type or "").partition(";")[0].strip().lower()
    return kind in {JSON_TYPE, "text/json"} or kind.endswith("+json")


def _parse_json(properties: Properties, body: bytes, now: datetime) -> Request:
    named = sorted(filter(options.option_of, properties.headers))
    if named:
        raise ContractError(
            ErrorCode.BAD_REQUEST,
            "options of a JSON body go into its `options`, not into headers",
            {"headers": named[:10]},
        )
    for mark in MARKS:
        if body.count(mark) > MOST_MARKS:
            raise ContractError(
                ErrorCode.BAD_REQUEST,
                f"the JSON body has more than {MOST_MARKS:,} times `{mark.decode()}`: `audio` is one string of base64, "
                "not a list of numbers, and options are few",
            )
    try:
        parsed = JsonRequest.model_validate_json(body.removeprefix(codecs.BOM_UTF8), context={"now": now})
    except ValidationError as error:
        names = (*JsonRequest.model_fields, *TranscriptionOptions.model_fields)
        raise _refusal(problems(error, names)) from None
    return Request(parsed.audio if parsed.audio_ref is None else _reference(parsed.audio_ref), parsed.options)


def _reference(given: AudioRef) -> Reference:
    try:
        return reference.of(given)
    except reference.NoReference as error:
        raise ContractError(ErrorCode.AUDIO_REF_DENIED, f"audio_ref: {error}", {"reason": "malformed"}) from None


def _parse_raw(properties: Properties, body: bytes, now: datetime) -> Request:
    try:
        parsed = TranscriptionOptions.model_validate(options.from_headers(properties.headers), context={"now": now})
    except options.OptionGivenTwice as error:
        raise _refusal([(error.field, str(error))]) from None
    except ValidationError as error:
        raise _refusal(problems(error, map(options.header_name, TranscriptionOptions.model_fields))) from None
    return Request(body, parsed)


def _refusal(wrong: Iterable[tuple[str, str]]) -> ContractError:
    """Describe what is wrong first and where, without the input: it may hold speech or secrets."""
    found = [
        {"field": field[:LONGEST_WORDS] or "body", "problem": problem[:LONGEST_WORDS]}
        for field, problem in islice(wrong, 10)
    ]
    first = found[0]
    return ContractError(ErrorCode.BAD_REQUEST, f"{first['field']}: {first['problem']}"[:500], {"problems": found})
