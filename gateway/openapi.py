"""The OpenAPI document of the gateway, made from the models of its answers and a table of its forms.

Pure and deterministic: no clock, no machine, no setting.
"""

from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sttd.gateway import shapes
from sttd.gateway.door import DROPPED, IGNORED, TRUNCATED
from sttd.gateway.wishes import Granularity, ResponseFormat, Task
from sttd.schemas.options import LONGEST_CALLER, LONGEST_PROMPT, Doubtful, NumeralForm

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"

_MODELS: Final[tuple[type[BaseModel], ...]] = (
    shapes.OldTranscript,
    shapes.OldError,
    shapes.Health,
    shapes.Text,
    shapes.Verbose,
    shapes.Delta,
    shapes.Done,
    shapes.Model,
    shapes.Models,
    shapes.OpenAIError,
)

_STATUSES: Final = {
    400: "No file, a broken form, or an option out of range; on `/v1` also audio that cannot be decoded.",
    401: "No valid bearer token, where the gateway has some.",
    408: "The upload was too slow.",
    413: "The file, or its audio, is larger or longer than is taken; said while the upload still runs.",
    415: "The body is not a form.",
    429: "The queue is deep, or the gateway holds as much audio as it may; `Retry-After` says when to come back.",
    500: "The transcription failed; on `/transcribe` also audio that cannot be decoded.",
    503: "The broker is away, or no daemon works on the queue; `Retry-After` says when to come back.",
    504: "No answer in time.",
}

_IGNORED: Final = {
    "headers": {
        IGNORED: {
            "schema": {"type": "string"},
            "description": "What the call named in vain, such as misspelt fields; percent-encoded, comma-separated.",
        },
        TRUNCATED: {"schema": {"const": "true"}, "description": "Sound that the file had is missing from it."},
        DROPPED: {"schema": {"type": "integer"}, "description": "So many segments were left out as not said."},
    }
}
_LANGUAGE: Final = "Whisper language code of what is spoken, a tag that begins with one (`ru-RU`), or `auto`."
_PROMPT: Final = {"type": "string", "maxLength": LONGEST_PROMPT, "description": "Text that sets style and spelling."}
_LONG_PROMPT: Final = {
    "type": "string",
    "description": f"Text that sets style and spelling; of a longer one the last {LONGEST_PROMPT:,} characters.",
}
_CALLER: Final = {
    "type": "string",
    "maxLength": LONGEST_CALLER,
    "description": "Whom the note is for: callers are served by turns. A token's name wins over it.",
}
_NUMERALS: Final = {
    "type": "string",
    "enum": list(get_args(NumeralForm)),
    "description": "Numbers as digits, in words or as they were heard. Default: the daemon's setting.",
}
_DOUBTFUL: Final = {
    "type": "string",
    "enum": list(get_args(Doubtful)),
    "description": "`drop` moves text that was most probably not said to `dropped`. Default: the daemon's setting.",
}
_FILE: Final = {
    "type": "string",
    "format": "binary",
    "description": "The audio file as it came: OGG/Opus, MP3, M4A, WAV, FLAC, WebM, AMR and more. Its name and type do "
    "not matter.",
}


def document() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    _, schemas = models_json_schema(
        [(model, "serialization") for model in _MODELS], ref_template="#/components/schemas/{model}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sttd gateway",
            "version": "1",
            "description": "Speech to text for voice notes over HTTP: the old service's two calls, and OpenAI's audio "
            "API.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:5000"}],
        "security": [{}, {"bearer": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> dict[str, Any]:
    return {
        "/transcribe": {"post": _transcribe()},
        "/health": {"get": _health()},
        "/v1/audio/transcriptions": {"post": _openai("transcribe")},
        "/v1/audio/translations": {"post": _openai("translate")},
        "/v1/models": {"get": _get("listModels", "The names that a call may use.", "Models")},
        "/v1/models/{model}": {"get": _one_model()},
        "/openapi.json": {
            "get": _open(_operation("document", "This document.", {"200": {"description": "OpenAPI 3.1."}}))
        },
    }


def _transcribe() -> dict[str, Any]:
    fields = {
        "file": _FILE,
        "language": {"type": "string", "description": f"{_LANGUAGE} Default: the daemon's setting."},
        "task": {
            "type": "string",
            "enum": list(get_args(Task)),
            "default": "transcribe",
            "description": "`translate` answers in English.",
        },
        "prompt": _PROMPT,
        "numerals": _NUMERALS,
        "doubtful": _DOUBTFUL,
        "caller": _CALLER,
    }
    answers = {"200": _answer("The text.", "OldTranscript") | _IGNORED} | _failures("OldError")
    return _operation("transcribe", "Transcribe one file: the old service's call.", answers) | _form(fields)


def _health() -> dict[str, Any]:
    answers = {
        "200": _answer("A daemon works on the queue.", "Health"),
        "503": _answer("The broker is away, or no daemon works on the queue.", "Health"),
    }
    return _open(_operation("health", "Whether a note would be transcribed now.", answers))


def _openai(task: Task) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "file": _FILE,
        "model": {"type": "string", "description": "Any name: the daemon has one model, and it answers."},
        "prompt": _LONG_PROMPT,
        "response_format": {"type": "string", "enum": list(get_args(ResponseFormat)), "default": "json"},
        "temperature": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "0: rising while the text looks wrong.",
        },
        "timestamp_granularities[]": {
            "type": "array",
            "items": {"type": "string", "enum": list(get_args(Granularity))},
            "description": "Needs `verbose_json`. Default: `segment`.",
        },
        "numerals": _NUMERALS,
        "doubtful": _DOUBTFUL,
        "caller": _CALLER,
        "stream": {"type": "boolean", "default": False, "description": "Answer as server-sent events."},
    }
    if task == "transcribe":
        fields |= {
            "language": {"type": "string", "description": f"{_LANGUAGE} Default: `auto`."},
            "languages[]": {
                "type": "array",
                "items": {"type": "string"},
                "description": "What `auto` may choose from.",
            },
            "keywords[]": {"type": "array", "items": {"type": "string"}, "description": "Words to prefer."},
        }
    what = "Transcribe one file." if task == "transcribe" else "Translate what is spoken into English."
    return _operation(
        f"{task}OpenAI", f"{what} OpenAI's call.", {"200": _shaped() | _IGNORED} | _failures("OpenAIError")
    ) | _form(fields)


def _shaped() -> dict[str, Any]:
    content = {
        JSON: {"schema": {"anyOf": [_ref("Text"), _ref("Verbose")]}},
        "text/plain": {"schema": {"type": "string"}},
        "text/event-stream": {"schema": {"anyOf": [_ref("Delta"), _ref("Done"), _ref("OpenAIError")]}},
    }
    return {
        "description": "The text, as `response_format` and `stream` ask; each event's `data` is one JSON object.",
        "content": content,
    }


def _one_model() -> dict[str, Any]:
    parameter = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    answers = {"200": _answer("It is there.", "Model"), "404": _answer("There is no such name.", "OpenAIError")}
    return _operation("retrieveModel", "One of the names.", answers) | {"parameters": [parameter]}


def _get(name: str, summary: str, model: str) -> dict[str, Any]:
    return _operation(name, summary, {"200": _answer(summary, model), "401": _answer(_STATUSES[401], "OpenAIError")})


def _operation(name: str, summary: str, answers: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": answers}


def _open(operation: dict[str, Any]) -> dict[str, Any]:
    return operation | {"security": [{}]}


def _form(fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": ["file"], "properties": fields}
    return {"requestBody": {"required": True, "content": {FORM: {"schema": schema}}}}


def _failures(model: str) -> dict[str, Any]:
    found = {str(status): _answer(sentence, model) for status, sentence in _STATUSES.items()}
    for status in ("429", "503"):
        found[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return found


def _answer(description: str, model: str) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": _ref(model)}}}


def _ref(model: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model}"}
