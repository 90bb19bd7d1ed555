"""The files under docs/contract are those of the code: generated files are fresh, schemas and AsyncAPI agree."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema import Draft202012Validator

from sttd.consumer.settings import Settings
from sttd.schemas import names
from sttd.schemas.codes import DeadReason, ErrorCode
from sttd.schemas.options import TranscriptionOptions, header_name, to_headers
from sttd.schemas.reply import REPLY
from tools import contract
from tools.messages import examples

CONTRACT = contract.DOCS / "contract"
SCHEMAS = sorted(path.name for path in CONTRACT.glob("*.schema.json"))


def load(name: str) -> dict[str, Any]:
    """One committed JSON document."""
    found: dict[str, Any] = json.loads((CONTRACT / name).read_text(encoding="utf-8"))
    return found


def references(value: Any) -> Iterator[str]:
    """Every `$ref` anywhere in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolve(document: dict[str, Any], reference: str) -> Any:
    """What a local reference points at; KeyError where it points at nothing."""
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_the_committed_files_are_what_the_code_says() -> None:
    """The published contract is the daemon's present one."""
    assert contract.stale() == [], "generated files are stale: run `make contract`"


def test_generation_is_deterministic() -> None:
    """Two runs give the same bytes, so a diff always means a change."""
    assert contract.files() == contract.files()
    assert all(text.endswith("\n") for text in contract.files().values())


def test_a_stale_or_missing_or_left_over_file_is_found_and_mended(tmp_path: Path) -> None:
    """The check sees each way of being out of date, and `write` mends all of them."""
    contract.write(tmp_path)
    (tmp_path / "settings.md").write_text("old", encoding="utf-8")
    (tmp_path / "contract" / "reply.schema.json").unlink()
    (tmp_path / "contract" / "gone.schema.json").write_text("{}", encoding="utf-8")

    assert contract.stale(tmp_path) == ["contract/gone.schema.json", "contract/reply.schema.json", "settings.md"]
    contract.write(tmp_path)
    assert contract.stale(tmp_path) == []


def test_the_command_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing mistake writes nothing."""
    assert contract.main(["wirte"]) == 2
    assert "write|check" in capsys.readouterr().err
    assert contract.main(["check"]) == 0


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_valid_and_has_a_name_of_its_own(name: str) -> None:
    """Any JSON Schema library can load it, and `$id` names the document."""
    schema = load(name)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:sttd:contract:v1:{name.removesuffix('.schema.json')}"
    assert all(resolve(schema, reference) for reference in references(schema))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_examples_of_a_schema_keep_it(name: str) -> None:
    """A copied example works."""
    schema = load(name)

    assert schema["examples"]
    for example in schema["examples"]:
        Draft202012Validator(schema).validate(example)


def test_the_reply_schema_tells_the_three_answers_apart() -> None:
    """A reader in any language can branch on `status`; nothing validates as two of them."""
    schema = load("reply.schema.json")
    validator = Draft202012Validator(schema)

    assert set(schema["discriminator"]["mapping"]) == {"completed", "failed", "progress"}
    assert {"Transcript", "Failure", "Progress"} <= set(schema["$defs"])
    for reply in (examples.TRANSCRIPT, examples.FAILURE, examples.PROGRESS):
        body = json.loads(REPLY.dump_json(reply))
        validator.validate(body)
        del body["status"]
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(body)


def test_a_reply_with_fields_of_a_later_version_still_keeps_the_schema() -> None:
    """Fields are added, never renamed: an old reader's validation must not fail on a new field."""
    body = json.loads(REPLY.dump_json(examples.TRANSCRIPT)) | {"speakers": ["a", "b"]}

    Draft202012Validator(load("reply.schema.json")).validate(body)


@pytest.mark.parametrize(
    "bad",
    [
        {"beam_size": 0},
        {"beam_size": 11},
        {"temperature": 1.5},
        {"task": "summarize"},
        {"initial_prompt": "x" * 1001},
        {"languages": []},
        {"languages": ["ru"] * 21},
        {"word_timestamps": "perhaps"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_the_option_schema_refuses_what_the_daemon_refuses(bad: dict[str, Any]) -> None:
    """A bot can check its options before sending them."""
    with pytest.raises(jsonschema.ValidationError):
        Draft202012Validator(load("request-options.schema.json")).validate(bad)


def test_every_code_and_reason_is_documented_once() -> None:
    """A code that a bot receives can be looked up."""
    text = (CONTRACT / "error-codes.md").read_text(encoding="utf-8")

    for code in ErrorCode:
        assert text.count(f"| `{code}` | {code.sentence} |") == 1
    for reason in DeadReason:
        assert f"| `{reason}` | {contract.DEAD_REASONS[reason]} |" in text


def test_every_setting_is_documented_without_this_machines_values() -> None:
    """The table is complete, and the same wherever it is generated."""
    text = (contract.DOCS / "settings.md").read_text(encoding="utf-8")

    for name, field in Settings.model_fields.items():
        assert f"| `STTD_{name.upper()}` |" in text
        assert field.description
    assert Settings().worker not in text


@pytest.fixture
def asyncapi() -> dict[str, Any]:
    """The committed AsyncAPI document.

    The tests below check the rules of AsyncAPI 3.0.0 that matter to readers.
    """
    return load("asyncapi.json")


def test_every_reference_resolves(asyncapi: dict[str, Any]) -> None:
    """A generator that follows a dangling reference fails on the user's desk."""
    found = list(references(asyncapi))

    assert found
    assert all(resolve(asyncapi, reference) for reference in found)


def test_operations_use_only_messages_of_their_channel(asyncapi: dict[str, Any]) -> None:
    """AsyncAPI 3 requires an operation's messages to be a subset of its channel's, by reference through the channel."""
    for operation in asyncapi["operations"].values():
        channel = operation["channel"]["$ref"]
        assert operation["action"] in {"send", "receive"}
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])
        reply = operation.get("reply")
        if reply:
            assert resolve(asyncapi, reply["channel"]["$ref"])["address"] is None, (
                "a reply address needs a channel without one"
            )
            assert all(
                message["$ref"].startswith(f"{reply['channel']['$ref']}/messages/") for message in reply["messages"]
            )


def test_channels_are_the_queues_that_the_daemon_uses(asyncapi: dict[str, Any]) -> None:
    """The addresses are the names in schemas.names, and a binding repeats its own."""
    channels = asyncapi["channels"]

    assert {channel["address"] for channel in channels.values()} == {
        names.REQUESTS,
        names.REQUESTS_BULK,
        names.REPLIES,
        names.CONTROL_EXCHANGE,
        None,
    }
    for channel in channels.values():
        binding = channel.get("bindings", {}).get("amqp")
        if binding:
            assert binding[{"queue": "queue", "routingKey": "exchange"}[binding["is"]]]["name"] == channel["address"]


def test_every_option_is_a_header_of_the_raw_form(asyncapi: dict[str, Any]) -> None:
    """Every option of the JSON form has a header for raw bodies."""
    headers = asyncapi["components"]["messages"]["audio"]["headers"]

    assert set(headers["properties"]) == {header_name(option) for option in TranscriptionOptions.model_fields}


def test_header_schemas_take_what_the_client_sends_and_refuse_unknown_options(asyncapi: dict[str, Any]) -> None:
    """An unknown `stt-*` is a mistake; a caller's own header is ignored."""
    validator = Draft202012Validator(asyncapi["components"]["messages"]["audio"]["headers"])

    validator.validate(to_headers(examples.OPTIONS))
    validator.validate({**examples.HEADERS, "x-trace": 7})
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"stt-langauge": "ru"})


def test_message_examples_keep_their_payload_schema(asyncapi: dict[str, Any]) -> None:
    """The examples that documentation tools show are true."""
    for message in asyncapi["components"]["messages"].values():
        for example in message["examples"]:
            if "payload" in example:
                schema = {"$ref": message["payload"]["$ref"], "components": asyncapi["components"]}
                Draft202012Validator(schema).validate(example["payload"])
            if "headers" in example:
                Draft202012Validator(message["headers"]).validate(example["headers"])


def test_required_parts_are_there(asyncapi: dict[str, Any]) -> None:
    """Enough for any AsyncAPI tool to open it."""
    assert asyncapi["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(asyncapi["info"])
    assert {"host", "protocol"} <= set(asyncapi["servers"]["rabbitmq"])
