"""The AsyncAPI 3.0 document of the contract: channels, operations, messages, from the daemon's point of view.

Pure: returns a dict, tools/contract.py writes it.
"""

from typing import Any, Final

from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.schemas.names import MessageType
from sttd.schemas.options import TranscriptionOptions, header_name
from tools.messages import examples, json_schema

VERSION: Final = "1.0.0"
"""Version of the contract, not of the program: the major number is the `v1` in message types."""

Json = dict[str, Any]

_AMQP: Final = {"bindingVersion": "0.3.0"}
_REQUEST_MESSAGES: Final = ("audio", "json")
_ANSWERS: Final = ("transcript", "failure", "progress")

_REQUEST_PROPERTIES: Final = {
    "content_type": "`application/json` for the JSON form; anything else, or nothing: the body is the audio file.",
    "content_encoding": "Absent, `identity`, `binary`, `8bit`, `7bit`, `utf-8` or `ascii`; anything else is refused.",
    "correlation_id": "Any string; copied into the reply. Without one `message_id` takes its place.",
    "reply_to": f"Queue to answer to; without one `{names.REPLIES}`. `{names.DIRECT_REPLY_TO}` works.",
    "message_id": "Names the request in logs, replies and cancels; send one that is unique.",
    "timestamp": "When it was sent, in whole seconds; needed for `timings.queued`.",
    "expiration": "Milliseconds; honoured while queued, and afterwards as a deadline.",
    "delivery_mode": "2 (persistent), or the request may be lost when the broker restarts.",
}
_ANSWER_PROPERTIES: Final = {
    "correlation_id": "As in the request.",
    "message_id": "Fresh for each message.",
    "type": "Which of the three it is; a reader skips types that it does not know.",
    "app_id": f"`{names.APP_ID}`.",
    "content_type": "`application/json`.",
    "delivery_mode": "2 (persistent).",
}


def document() -> Json:
    """The whole document, ready to be written as JSON."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:sttd:contract:v1",
        "info": {
            "title": "sttd",
            "version": VERSION,
            "description": "Voice notes in over RabbitMQ, transcripts out by correlation id. docs/contract.md says it "
            "for people.",
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
        },
        "defaultContentType": "application/json",
        "servers": {"rabbitmq": _server()},
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": {**_requests(), **_answers(), "cancel": _cancel()},
            "schemas": json_schema.components("#/components/schemas/"),
            "securitySchemes": {"user": {"type": "userPassword", "description": "A RabbitMQ user."}},
        },
    }


def _server() -> Json:
    return {
        "host": "localhost:5672",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "description": "Any RabbitMQ from 3.10; the operator tells the address.",
        "security": [{"$ref": "#/components/securitySchemes/user"}],
    }


def _channels() -> Json:
    return {
        "requests": _queue(names.REQUESTS, "Interactive voice notes: somebody waits for the text.", _REQUEST_MESSAGES),
        "requestsBulk": _queue(
            names.REQUESTS_BULK, "Backfills: served when no interactive note waits.", _REQUEST_MESSAGES
        ),
        "replies": _queue(names.REPLIES, "Answers to requests that name no `reply_to`.", _ANSWERS),
        "replyTo": {
            "address": None,
            "description": "The queue that a request names in its AMQP property `reply_to`.",
            "messages": _messages(_ANSWERS),
        },
        "control": {
            "address": names.CONTROL_EXCHANGE,
            "description": "Fanout exchange for cancels; the routing key is ignored.",
            "messages": _messages(("cancel",)),
            "bindings": {
                "amqp": {
                    "is": "routingKey",
                    "exchange": {
                        "name": names.CONTROL_EXCHANGE,
                        "type": "fanout",
                        "durable": True,
                        "autoDelete": False,
                        "vhost": "/",
                    },
                    **_AMQP,
                }
            },
        },
    }


def _queue(name: str, description: str, messages: tuple[str, ...]) -> Json:
    queue = {"name": name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
    return {
        "address": name,
        "description": description,
        "messages": _messages(messages),
        "bindings": {"amqp": {"is": "queue", "queue": queue, **_AMQP}},
    }


def _messages(found: tuple[str, ...]) -> Json:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in found}


def _operations() -> Json:
    return {
        "transcribe": _receive("requests", "Transcribe a voice note that somebody waits for.", _REQUEST_MESSAGES)
        | {"reply": _reply()},
        "transcribeBulk": _receive("requestsBulk", "Transcribe a voice note of a backfill.", _REQUEST_MESSAGES)
        | {"reply": _reply()},
        "cancel": _receive(
            "control", "Stop working on a request; its caller gets the failure `cancelled`.", ("cancel",)
        ),
        "answerByDefault": {
            "action": "send",
            "channel": {"$ref": "#/channels/replies"},
            "summary": "Answer a request that named no `reply_to`.",
            "messages": [{"$ref": f"#/channels/replies/messages/{name}"} for name in _ANSWERS],
            "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, **_AMQP}},
        },
    }


def _receive(channel: str, summary: str, messages: tuple[str, ...]) -> Json:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _reply() -> Json:
    return {
        "address": {
            "location": "$message.header#/reply_to",
            "description": "The AMQP property `reply_to`, not a header.",
        },
        "channel": {"$ref": "#/channels/replyTo"},
        "messages": [{"$ref": f"#/channels/replyTo/messages/{name}"} for name in _ANSWERS],
    }


def _message(title: str, payload: Json, example: Json, content_type: str = "application/json") -> Json:
    return {
        "title": title,
        "contentType": content_type,
        "correlationId": {
            "location": "$message.header#/correlation_id",
            "description": "The AMQP property `correlation_id`, not a header.",
        },
        "payload": payload,
        "examples": [example],
    }


def _requests() -> dict[str, Json]:
    file = {
        "type": "string",
        "format": "binary",
        "minLength": 1,
        "description": "OGG/Opus, MP3, M4A/AAC, WAV, FLAC, WebM, AMR and others.",
    }
    raw = _message(
        "The audio file's bytes, options in headers", file, {"headers": examples.HEADERS}, "application/octet-stream"
    )
    json = _message("Audio in base64 and options", _schema("JsonRequest"), {"payload": examples.JSON_REQUEST})
    raw["headers"] = _option_headers()
    raw["x-amqp-properties"] = json["x-amqp-properties"] = _REQUEST_PROPERTIES
    return {"audio": raw, "json": json}


def _option_headers() -> Json:
    """Headers hold text as well as their own type: clients differ in what they can put there."""
    described = {
        header_name(option): {"description": field.description, "type": ["string", "boolean", "number", "array"]}
        for option, field in TranscriptionOptions.model_fields.items()
    }
    pattern = "^(?![Ss][Tt][Tt][-_])"  # an unknown stt-* is refused, any other header is ignored
    return {
        "type": "object",
        "properties": described,
        "patternProperties": {pattern: True},
        "additionalProperties": False,
    }


def _answers() -> dict[str, Json]:
    codes = ", ".join(f"`{code}`" for code in ErrorCode)
    return {
        "transcript": _answer(
            "The answer to a request that went well", "Transcript", MessageType.TRANSCRIPT, "transcript"
        ),
        "failure": _answer(
            "The answer to a request that could not be served", "Failure", MessageType.FAILURE, "failure"
        )
        | {"description": f"`error.code` is one of: {codes}."},
        "progress": _answer("Sent on request before the answer", "Progress", MessageType.PROGRESS, "progress"),
    }


def _answer(title: str, model: str, kind: MessageType, example: str) -> Json:
    message = _message(title, _schema(model), {"payload": json_schema.ROOTS[example][2]})
    reply_id = {
        "type": "string",
        "format": "uuid",
        "description": "The same on every duplicate of one answer: keep the first.",
    }
    message["headers"] = {
        "type": "object",
        "properties": {names.REPLY_ID_HEADER: reply_id},
        "required": [names.REPLY_ID_HEADER],
    }
    message["bindings"] = {"amqp": {"messageType": str(kind), **_AMQP}}
    message["x-amqp-properties"] = _ANSWER_PROPERTIES
    return message


def _cancel() -> Json:
    message = _message(
        "Stop working on a request", _schema("Cancel"), {"payload": examples.CANCEL.model_dump(mode="json")}
    )
    del message["correlationId"]
    return message


def _schema(model: str) -> Json:
    return {"$ref": f"#/components/schemas/{model}"}
