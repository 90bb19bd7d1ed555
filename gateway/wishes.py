"""What a form asks for: the daemon's options, and for the OpenAI-compatible API the shape of the answer too.

Pure. The client checks the daemon's options; here only those that the daemon does not have.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from sttd.call_options import Options
from sttd.gateway.forms import Form
from sttd.gateway.problems import Problem, no_file
from sttd.schemas.languages import AUTO
from sttd.schemas.options import LONGEST_PROMPT, Doubtful, NumeralForm, option_of

Task = Literal["transcribe", "translate"]
ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularity = Literal["word", "segment"]

_BOTH: Final = frozenset(
    "caller doubtful file keywords keywords[] language languages languages[] numerals prompt temperature".split()
)
OLD_FIELDS: Final = _BOTH | {"task"}
_GRANULARITIES: Final = frozenset({"timestamp_granularities", "timestamp_granularities[]"})
OPENAI_FIELDS: Final = _BOTH | _GRANULARITIES | {"model", "response_format", "stream"}
"""What each API reads, or may leave unread without a loss; other fields are named to the caller (`ignored`)."""

_TRUTH: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Wish:
    """One call of the OpenAI-compatible API."""

    audio: bytes
    options: Options
    task: Task
    form: ResponseFormat
    granularities: frozenset[Granularity]
    stream: bool


def old(form: Form, caller: str | None = None) -> tuple[bytes, Options]:
    """The old service's form: `file`, and as a new thing `language`, `task` and `prompt`. Raises `Problem`.

    `caller`: the name of the token, which wins over the form's field.
    """
    if form.audio is None:
        raise no_file()
    task = _choice(form.one("task") or "transcribe", get_args(Task), "task")
    return form.audio, _options(form, cast("Task", task), caller, default_language=None)


def openai(form: Form, task: Task, caller: str | None = None) -> Wish:
    """A call of `/v1/audio/transcriptions` or `/v1/audio/translations`; `caller`: as for `old`.

    Raises `Problem` 400 with the name of the field.
    """
    if form.audio is None:
        raise no_file()
    shape = _choice(form.one("response_format") or "json", get_args(ResponseFormat), "response_format")
    granularities = frozenset(
        _choice(given, get_args(Granularity), "timestamp_granularities")
        for given in form.many("timestamp_granularities")
    )
    if granularities and shape != "verbose_json":
        raise _wrong("timestamp_granularities needs response_format=verbose_json", "timestamp_granularities")
    stream = _flag(form, "stream")
    options = _options(form, task, caller, default_language=AUTO)
    options["initial_prompt"] = (form.one("prompt") or "")[-LONGEST_PROMPT:] or None  # Whisper reads the end only
    options["word_timestamps"] = "word" in granularities or None
    options["progress"] = stream or None
    return Wish(
        form.audio,
        options,
        task,
        cast("ResponseFormat", shape),
        cast("frozenset[Granularity]", granularities or frozenset({"segment"})),
        stream,
    )


def ignored(form: Form, known: frozenset[str], query: Iterable[str], headers: Iterable[str]) -> list[str]:
    """What the caller named in vain: unknown fields, further files, and options in the query or in HTTP headers.

    Of a prompt that is too long the beginning is.
    """
    fields = [name for name in form.fields if name not in known]
    fields += ["prompt"] * (len(form.one("prompt") or "") > LONGEST_PROMPT)
    return list(dict.fromkeys([*fields, *form.other_files, *query, *filter(option_of, headers)]))


def _options(form: Form, task: Task, caller: str | None, *, default_language: str | None) -> Options:
    languages = form.many("languages")
    return {
        "language": form.one("language") or default_language,
        "languages": languages or None,
        "task": task,
        "initial_prompt": form.one("prompt"),
        "hotwords": _hotwords(form),
        "temperature": _temperature(form),
        "numerals": cast("NumeralForm | None", _chosen(form, "numerals", NumeralForm)),
        "doubtful": cast("Doubtful | None", _chosen(form, "doubtful", Doubtful)),
        "caller": caller or form.one("caller"),
    }


def _hotwords(form: Form) -> str | None:
    """Full stops part them, as in the operator's list; empty fields turn that off."""
    if not form.fields.keys() & {"keywords", "keywords[]"}:
        return None
    return " ".join(f"{word.rstrip('.')}." for word in form.many("keywords"))


def _chosen(form: Form, name: str, kind: object) -> str | None:
    given = form.one(name)
    return None if given is None else _choice(given, get_args(kind), name)


def _temperature(form: Form) -> float | None:
    """0 means the ladder of rising temperatures, as in OpenAI's API."""
    given = form.one("temperature")
    if given is None:
        return None
    try:
        return float(given) or None
    except ValueError:
        raise _wrong("temperature is a number from 0 to 1", "temperature") from None


def _flag(form: Form, name: str) -> bool:
    given = (form.one(name) or "false").lower()
    if given not in _TRUTH:
        raise _wrong(f"{name} is true or false", name)
    return _TRUTH[given]


def _choice(given: str, known: tuple[str, ...], name: str) -> str:
    if given not in known:
        raise _wrong(f"{name} is one of {', '.join(known)}", name)
    return given


def _wrong(message: str, param: str) -> Problem:
    return Problem(400, message, "bad_request", param=param)
