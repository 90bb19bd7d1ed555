"""JSON Schema (2020-12) of every message and of the options, generated from the models.

Pure: returns dicts, tools/contract.py writes them.
"""

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from sttd.schemas.cancel import Cancel
from sttd.schemas.options import TranscriptionOptions
from sttd.schemas.reply import REPLY, Failure, Progress, Transcript
from sttd.schemas.request import JsonRequest
from tools.messages import examples

DIALECT: Final = GenerateJsonSchema.schema_dialect
ID_PREFIX: Final = "urn:sttd:contract:v1:"

ROOTS: Final[dict[str, tuple[type[BaseModel], JsonSchemaMode, Any]]] = {
    "request-options": (
        TranscriptionOptions,
        "validation",
        examples.OPTIONS.model_dump(mode="json", exclude_unset=True),
    ),
    "request-json": (JsonRequest, "validation", examples.JSON_REQUEST),
    "transcript": (Transcript, "serialization", examples.TRANSCRIPT.model_dump(mode="json")),
    "failure": (Failure, "serialization", examples.FAILURE.model_dump(mode="json")),
    "progress": (Progress, "serialization", examples.PROGRESS.model_dump(mode="json")),
    "control-cancel": (Cancel, "validation", examples.CANCEL.model_dump(mode="json")),
}
"""Name of the schema, its model, whether callers write it (validation) or the daemon does (serialization), one example.
"""


class Generator(GenerateJsonSchema):
    """pydantic's generator, with required fields for everything that the daemon always sends.

    By default a field for which the model has a default is not required.
    """

    def field_is_required(
        self, field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField, total: bool
    ) -> bool:
        """Whether the field is in every message."""
        return self.mode == "serialization" or super().field_is_required(field, total)


def documents() -> dict[str, dict[str, Any]]:
    """Every schema as a document of its own: {name: schema with `$schema`, `$id`, `$defs` and `examples`}."""
    found = {name: _document(name, _schema(model, mode), [example]) for name, (model, mode, example) in ROOTS.items()}
    union = REPLY.json_schema(mode="serialization", schema_generator=Generator)
    union["title"] = "Reply"
    found["reply"] = _document("reply", union, [ROOTS[name][2] for name in ("transcript", "failure", "progress")])
    return found


def components(prefix: str) -> dict[str, Any]:
    """The same models for use inside another document, with references that begin with `prefix`."""
    inputs = [(model, mode) for model, mode, _ in ROOTS.values()]
    _, schema = models_json_schema(inputs, schema_generator=Generator, ref_template=prefix + "{model}")
    return dict(schema["$defs"])


def _schema(model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
    return model.model_json_schema(mode=mode, schema_generator=Generator)


def _document(name: str, schema: dict[str, Any], shown: list[Any]) -> dict[str, Any]:
    return {"$schema": DIALECT, "$id": ID_PREFIX + name, **schema, "examples": shown}
