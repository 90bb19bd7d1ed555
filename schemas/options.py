"""The options of one request, with their bounds; read from a JSON body or from `stt-*` headers.

Never reads settings: an absent option means "the daemon's default".
"""

import re
from collections.abc import Container, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from sttd.schemas import languages
from sttd.schemas.names import OPTION_PREFIX

DEADLINE_AHEAD: Final = timedelta(hours=24)
"""A deadline further away than this is a mistake in units more often than a wish."""

LONGEST_CALLER: Final = 200
LONGEST_PROMPT: Final = 1000

_SECONDS: Final = 10**9, 10**11
"""Epoch seconds of our time; as milliseconds they would be in 1970, long passed."""


def _moment(value: object) -> object:
    """RFC 3339 text (with an offset) or epoch milliseconds -> an aware datetime."""
    if isinstance(value, datetime):
        return _aware(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a deadline is RFC 3339 text or epoch milliseconds")
    if isinstance(value, int) or value.strip().lstrip("-").isdecimal():
        if _SECONDS[0] <= int(value) < _SECONDS[1]:
            raise ValueError("epoch seconds were given; a deadline is RFC 3339 text or epoch milliseconds")
        try:
            return datetime.fromtimestamp(int(value) / 1000, UTC)
        except (OverflowError, OSError, ValueError):
            raise ValueError("epoch milliseconds out of range") from None
    return _aware(datetime.fromisoformat(value.strip()))


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset, such as Z or +03:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range") from None


def _not_far_ahead(value: datetime, info: ValidationInfo) -> datetime:
    now: datetime = (info.context or {}).get("now") or datetime.now(UTC)
    if value - now > DEADLINE_AHEAD:
        raise ValueError("a deadline lies at most 24 hours ahead")
    return value


def _id_text(value: object) -> object:
    """A chat's id is a number in most frameworks."""
    return str(value) if type(value) is int else value


def _short(caller: str) -> str:
    if len(caller.encode(errors="replace")) > LONGEST_CALLER:
        raise ValueError(f"a caller's key has at most {LONGEST_CALLER} bytes in UTF-8")
    return caller


Language = Annotated[str, AfterValidator(languages.code_or_auto)]
LanguageCode = Annotated[str, AfterValidator(languages.code)]
Prompt = Annotated[str, Field(max_length=LONGEST_PROMPT)]
_CallerText = Annotated[str, Field(max_length=LONGEST_CALLER)]
Caller = Annotated[
    Annotated[_CallerText, AfterValidator(_short)],
    BeforeValidator(_id_text, json_schema_input_type=_CallerText | int),
]
NumeralForm = Literal["as_heard", "digits", "words"]
Doubtful = Literal["keep", "drop"]


class TranscriptionOptions(BaseModel):
    """What one request asks of the engine. `None` means "the daemon's default"."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)

    language: Language | None = Field(
        default=None,
        description="Spoken language: a Whisper code, or a tag that begins with one (`ru-RU`), or `auto` to detect it. "
        "Default: the daemon's setting (`ru`).",
        examples=["ru", "auto"],
    )
    languages: Annotated[tuple[LanguageCode, ...], Field(min_length=1, max_length=20)] | None = Field(
        default=None,
        description="The set that `auto` may choose from; below probability 0.5 the daemon's default wins if it is in "
        "the set. Default: all.",
        strict=False,
    )
    task: Literal["transcribe", "translate"] = Field(
        default="transcribe", description="`translate` answers in English."
    )
    initial_prompt: Prompt | None = Field(
        default=None, description="Text that sets style and spelling of the first window."
    )
    hotwords: Prompt | None = Field(
        default=None,
        description="Names and terms to prefer, each with a full stop. Default: the operator's; empty: none.",
    )
    word_timestamps: bool = Field(default=False, description="Give start, end and probability of each word.")
    progress: bool = Field(default=False, description="Send progress messages before the transcript.")
    vad: bool = Field(default=True, description="Skip what is not speech (voice-activity detection).")
    beam_size: Annotated[int, Field(ge=1, le=10)] | None = Field(
        default=None, description="Beam width. Default: the daemon's setting (5)."
    )
    temperature: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="One fixed sampling temperature. Default: 0, then upwards in steps of 0.2 while the text looks "
        "wrong.",
    )
    numerals: NumeralForm | None = Field(
        default=None,
        description="Numbers in Russian and English text: all as `digits`, all as `words`, or `as_heard`. Default: the "
        "daemon's setting (`as_heard`).",
    )
    doubtful: Doubtful | None = Field(
        default=None,
        description="What becomes of text that was most probably not said: `drop` moves its segments from `segments` "
        "to `dropped`. Default: the daemon's setting (`keep`, with flags).",
    )
    caller: Caller | None = Field(
        default=None,
        description="Whom the request is for, such as a chat's id: callers are served by turns. Default: all requests "
        "without one together.",
    )
    deadline: (
        Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=str | int), AfterValidator(_not_far_ahead)]
        | None
    ) = Field(
        default=None, description="Answer by then or not at all: RFC 3339 or epoch milliseconds, at most 24 h ahead."
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any) -> Any:
        """Typed languages write a null for each field that was not set."""
        return without_nulls(given, cls.model_fields)


def without_nulls(given: Any, known: Container[str]) -> Any:
    """An object without those of its known fields that are null; anything else as it is."""
    if not isinstance(given, dict):
        return given
    return {name: value for name, value in given.items() if value is not None or name not in known}


def header_name(option: str) -> str:
    """Header that carries an option on a raw body: `word_timestamps` -> `stt-word-timestamps`."""
    return OPTION_PREFIX + option.replace("_", "-")


_BY_HEADER: Final = {header_name(option): option for option in TranscriptionOptions.model_fields}
_BY_LETTERS: Final = {name.replace("-", ""): option for name, option in _BY_HEADER.items()}
_BETWEEN_WORDS: Final = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BOOLEANS: Final = frozenset({"word_timestamps", "progress", "vad"})
_TRUTH: Final = {"true": True, "false": False}


def _from_header(option: str, value: Any) -> Any:
    """Undo what clients do to values in headers: booleans and numbers as text, lists comma-separated, ids as numbers.

    What does not fit is passed on as it is, for the model to refuse.
    """
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, bytes | bytearray):  # C and Go may send text so
        value = value.decode(errors="surrogateescape")
    if not isinstance(value, str):
        return _id_text(value) if option == "caller" else value
    text = value.strip()
    if option in _BOOLEANS:
        return _TRUTH.get(text.lower(), value)
    if option == "languages":
        return tuple(text.split(","))
    if option in {"beam_size", "temperature"}:
        return _number(text, int if option == "beam_size" else float)
    return value


def _number(text: str, kind: type[int | float]) -> int | float | str:
    try:
        return kind(text)
    except ValueError:
        return text


class OptionGivenTwice(ValueError):
    """Two spellings of one header have different values. `field`: the header's documented name."""

    def __init__(self, field: str, spellings: tuple[str, str]) -> None:
        super().__init__(f"given twice with different values, as {spellings[0]} and as {spellings[1]}")
        self.field = field


def option_of(header: str) -> str | None:
    """The option that a header carries: `stt-*` in any case, with other signs, a capital letter or nothing for `-`.

    An unknown one is its own name; None: no option.
    """
    words = [word.lower() for word in _BETWEEN_WORDS.split(header) if word]
    is_ours = f"{words[0]}-" == OPTION_PREFIX and len(header) > len(words[0]) if words else False
    return _BY_LETTERS.get("".join(words), header if is_ours else None)


def from_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the options of a raw body from its `stt-*` headers, ready for validation. Raises `OptionGivenTwice`.

    An unknown `stt-*` header keeps its own name, so that the model refuses it by that name.
    """
    found: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    for name in filter(option_of, headers):
        option = option_of(name) or name
        value = _from_header(option, headers[name])
        if option in found and found[option] != value:
            raise OptionGivenTwice(header_name(option), (spelt[option], name))
        found[option], spelt[option] = value, name
    return found


def copied(headers: Mapping[str, Any]) -> dict[str, bool | str | datetime]:
    """The option headers of a message, for a copy of it; without values that no option could have.

    Numbers go as text, as the contract allows: pamqp writes every float with 4 bytes and refuses some that it reads.
    """
    found: dict[str, bool | str | datetime] = {}
    for name in filter(option_of, headers):
        value = headers[name]
        if isinstance(value, bool | datetime):
            found[name] = value
        elif isinstance(value, int | float | str):
            found[name] = str(value)
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            found[name] = ",".join(value)
    return found


def to_headers(options: TranscriptionOptions) -> dict[str, str]:
    """The headers with the same meaning as `options`; only what was set."""
    given = options.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return {header_name(option): _to_header(value) for option, value in given.items()}


def _to_header(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)
