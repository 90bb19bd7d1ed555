"""A request as it arrives: AMQP properties and body in, a validated `Request` or a `ContractError` out.

Imports pydantic and schemas only; pure: the clock and the limits are passed in.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from schemas import options
from schemas.codes import ErrorCode
from schemas.names import OPTION_PREFIX
from schemas.options import TranscriptionOptions

JSON_TYPE: Final = "application/json"
LONGEST_WORDS: Final = 200  # characters of one problem: an option's name, or a language, may be megabytes long
PLAIN_ENCODINGS: Final = frozenset({"", "identity", "utf-8"})


class ContractError(Exception):
    """The request breaks the contract; `code` and `message` go back to the caller."""

    def __init__(self, code: ErrorCode, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Keep what the failure reply will say."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details or {})


def _base64(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("audio is base64 text")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("audio is not base64") from None


class JsonRequest(BaseModel):
    """The body of a request with `content_type: application/json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    audio: Annotated[bytes, BeforeValidator(_base64, json_schema_input_type=str)] = Field(
        description="The audio file's bytes in base64.", json_schema_extra={"contentEncoding": "base64"}
    )
    options: TranscriptionOptions = TranscriptionOptions()


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
    """A request that keeps the contract. `audio`: the file's bytes as the caller had them."""

    audio: bytes
    options: TranscriptionOptions


def parse(properties: Properties, body: bytes, *, now: datetime) -> Request:
    """Read one request; raises `ContractError` with the code and the words for the caller."""
    encoding = (properties.content_encoding or "").strip().lower()
    if encoding not in PLAIN_ENCODINGS:
        raise ContractError(ErrorCode.BAD_REQUEST, "content_encoding must be absent, identity or utf-8: nothing is ever decompressed")
    if not body:
        raise ContractError(ErrorCode.AUDIO_EMPTY, "the message body is empty")
    request = _parse_json(properties, body, now) if _is_json(properties) else _parse_raw(properties, body, now)
    if not request.audio:
        raise ContractError(ErrorCode.AUDIO_EMPTY, "the audio is empty")
    return request


def _is_json(properties: Properties) -> bool:
    return (properties.content_type or "").partition(";")[0].strip().lower() == JSON_TYPE


def _parse_json(properties: Properties, body: bytes, now: datetime) -> Request:
    named = sorted(name for name in properties.headers if name.startswith(OPTION_PREFIX))
    if named:
        raise ContractError(ErrorCode.BAD_REQUEST, "options of a JSON body go into its `options`, not into headers", {"headers": named})
    try:
        parsed = JsonRequest.model_validate_json(body, context={"now": now})
    except ValidationError as error:
        raise _refusal(error) from None
    return Request(parsed.audio, parsed.options)


def _parse_raw(properties: Properties, body: bytes, now: datetime) -> Request:
    try:
        parsed = TranscriptionOptions.model_validate(options.from_headers(properties.headers), context={"now": now})
    except ValidationError as error:
        raise _refusal(error) from None
    return Request(body, parsed)


def _refusal(error: ValidationError) -> ContractError:
    """Say what is wrong and where, without the input: it may hold speech or secrets."""
    problems = [
        {"field": ".".join(map(str, e["loc"]))[:LONGEST_WORDS] or "body", "problem": e["msg"][:LONGEST_WORDS]}
        for e in error.errors(include_input=False, include_url=False)
    ][:10]
    first = problems[0]
    return ContractError(ErrorCode.BAD_REQUEST, f"{first['field']}: {first['problem']}"[:500], {"problems": problems})
