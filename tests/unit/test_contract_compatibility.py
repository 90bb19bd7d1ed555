"""Two versions on one queue understand each other: the contract only grows, compared with every released schema."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sttd.schemas.options import TranscriptionOptions
from sttd.schemas.reply import REPLY
from sttd.schemas.request import JsonRequest
from tests.support.compatibility import Side, breaks
from tools import contract
from tools.messages import examples

CONTRACT = contract.DOCS / "contract"
RELEASED = sorted(path for path in (CONTRACT / "released").iterdir() if path.is_dir())
TAKEN = ("request-json", "request-options", "control-cancel")
SENT = ("reply", "transcript", "failure", "progress")
SIDES: list[tuple[str, Side]] = [*((name, "taken") for name in TAKEN), *((name, "sent") for name in SENT)]


def load(folder: Path, name: str) -> dict[str, Any]:
    """One schema."""
    found: dict[str, Any] = json.loads((folder / f"{name}.schema.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.name)
@pytest.mark.parametrize(("name", "side"), SIDES)
def test_the_contract_only_grows(release: Path, name: str, side: Side) -> None:
    """What an old bot sends is taken, what a new daemon sends is understood by an old bot; else it is v2, beside v1."""
    assert breaks(load(release, name), load(CONTRACT, name), side) == []


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.name)
def test_what_a_release_sent_is_read_by_todays_code(release: Path) -> None:
    """A new client beside old daemons; and old bots' requests in front of a new daemon."""
    for name in SENT:
        for example in load(release, name).get("examples", []):
            assert REPLY.validate_python(example).status == example["status"]
    for example in load(release, "request-json")["examples"]:
        found = JsonRequest.model_validate(example)
        assert found.audio or found.audio_ref
    for example in load(release, "request-options")["examples"]:
        assert TranscriptionOptions.model_validate(example).model_fields_set == set(example)


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.name)
def test_what_today_is_sent_keeps_the_schema_of_a_release(release: Path) -> None:
    """An old bot that validates what it gets goes on working."""
    validator = Draft202012Validator(load(release, "reply"))
    for reply in (examples.TRANSCRIPT, examples.FAILURE, examples.PROGRESS):
        validator.validate(json.loads(reply.model_dump_json()))


def test_there_is_a_release_to_compare_with() -> None:
    """An empty list would pass everything."""
    assert RELEASED
    for release in RELEASED:
        assert {path.name for path in release.iterdir()} >= {f"{name}.schema.json" for name in (*TAKEN, *SENT)}


def changed(name: str, change: Callable[[dict[str, Any]], Any]) -> list[str]:
    """The verdict of the rules on one change to today's schema."""
    old = load(CONTRACT, name)
    new = copy.deepcopy(old)
    change(new)
    return breaks(old, new, "taken" if name in TAKEN else "sent")


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("transcript", lambda new: new["properties"].pop("text"), ".text is gone"),
        ("transcript", lambda new: new["required"].remove("duration"), ".duration may be missing now"),
        ("transcript", lambda new: new["properties"]["text"].update(type="array"), ".text: was string, is array"),
        ("transcript", lambda new: new["$defs"]["Segment"]["properties"].pop("start"), ".segments[].start is gone"),
        (
            "transcript",
            lambda new: new["properties"]["status"].update(const="done"),
            ".status: values were completed, are done",
        ),
        ("request-options", lambda new: new["properties"].pop("vad"), ".vad is gone"),
        ("request-options", lambda new: new.update(required=["language"]), ".language is required now"),
        ("request-options", lambda new: new["properties"]["task"].update(enum=["transcribe"]), ".task: values were"),
        (
            "request-options",
            lambda new: new["properties"]["languages"]["anyOf"][0].update(maxItems=5),
            ".languages: maxItems was 20, is 5",
        ),
        ("request-json", lambda new: new["oneOf"].pop(0), ".audio_ref is required now"),
        (
            "request-json",
            lambda new: new["properties"]["audio"].update(pattern="^x"),
            ".audio: pattern is a keyword without a rule here",
        ),
    ],
)
def test_each_rule_can_fail(name: str, change: Callable[[dict[str, Any]], Any], told: str) -> None:
    """A rule that cannot find its own violation protects nothing."""
    assert any(told in sentence for sentence in changed(name, change)), changed(name, change)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("transcript", lambda new: new["properties"].update(novelty={"type": "string"})),
        ("transcript", lambda new: new["required"].append("novelty")),
        ("request-options", lambda new: new["properties"].update(novelty={"type": "string"})),
        (
            "request-options",
            lambda new: new["properties"]["task"].update(enum=["transcribe", "translate", "summarise"]),
        ),
        ("request-options", lambda new: new["properties"]["languages"]["anyOf"][0].update(maxItems=50)),
        ("failure", lambda new: new.update(description="other words")),
    ],
)
def test_what_only_adds_is_allowed(name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """A rule that forbids too much would be switched off."""
    assert changed(name, change) == []
