"""Whatever stands in a body or in option headers, reading the request gives a request or the contract's own refusal."""

import base64
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sttd.schemas import request
from sttd.schemas.request import ContractError, Properties, Request
from tests.chaos.profile import Profile
from tests.chaos.results import Results

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAWN, DUSK = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
AUDIO = base64.b64encode(b"OggS" + bytes(20)).decode()
FIELDS = (
    "language", "languages", "task", "initial_prompt", "hotwords", "word_timestamps", "progress", "vad", "beam_size",
    "temperature", "deadline",
)  # fmt: skip
LITERALS = (
    b"1e400", b"-1e400", b"NaN", b"Infinity", b"-0", b"9" * 5000, b"0." + b"1" * 5000, b'"\\ud800"', b'"\\u0000"',
    b"null", b"true", b"[]",
    b"{}", b'""', b"1", b'"ru"', b'"auto"', b"2.5", b"[" * 300 + b"]" * 300, b'{"a":' * 300 + b"1" + b"}" * 300,
    b'"' + b"x" * 2000 + b'"',
    b"1764000000000", b"1764000000000000", b'"2026-11-22T12:00:00Z"', b'"9999-12-31T23:59:59+14:00"', b'"0000-00-00"',
    b'["ru","en"]', b'["ru","xx",1]', b"-1", b"1e5", b'"\xff"', b'"true"', b"99999999999999999999", b'"P1D"',
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    True, False, 0, 1, 5, -1, 2**63, 10**400, 0.5, float("nan"), float("inf"), "", "ru", "auto", "true", "TRUE ", "0",
    "1e999", "ru,en",
    ",,,", "x" * 5000, "\x00", b"\xff", NOW, DAWN, DUSK, [], ["ru"], [1, None], {}, {"a": {"b": 1}}, None,
    "2026-11-22T12:00:00Z", "9999-12-31T23:59:59-14:00", "1764000000000", "９",
)  # fmt: skip


def _document(dice: random.Random) -> bytes:
    """Build a JSON object whose parts are right, wrong, or odd."""
    options = b",".join(
        b'"%s":%s' % (dice.choice(FIELDS).encode(), dice.choice(LITERALS)) for _ in range(dice.randint(0, 4))
    )
    audio = (
        json.dumps(AUDIO).encode()
        if dice.random() < 0.8
        else dice.choice((*LITERALS, b'"===="', b'"A"', b'"\\u00e9\\u00e9\\u00e9="'))
    )
    parts = [b'"audio":' + audio] * dice.choice((1, 1, 1, 0, 2))
    parts += [b'"options":{%s}' % options] * dice.choice((1, 1, 0, 2))
    parts += [b'"%s":1' % dice.choice((b"extra", b"", b"\\ud800", b"Audio"))] * dice.choice((0, 0, 0, 1))
    dice.shuffle(parts)
    return b"{" + b",".join(parts) + b"}"


def _torn(dice: random.Random, body: bytes) -> bytes:
    """Change some bytes, or cut, or double."""
    damaged = bytearray(body)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(damaged) + 1)
        damaged[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
    return bytes(damaged[: dice.randrange(len(damaged) + 1)] if dice.random() < 0.2 else damaged)


def _json_body(dice: random.Random) -> tuple[Properties, bytes]:
    body = _document(dice)
    content_type = dice.choice(("application/json", "application/json; charset=utf-8", " Application/JSON ;x"))
    return Properties(content_type=content_type), _torn(dice, body) if dice.random() < 0.5 else body


def _option_headers(dice: random.Random) -> tuple[Properties, bytes]:
    names = [f"stt-{dice.choice(FIELDS).replace('_', '-')}" for _ in range(dice.randint(1, 4))] + [
        "stt-",
        "stt-\ud800",
        "sttd-attempt",
        "k",
    ]
    headers = {dice.choice(names): dice.choice(VALUES) for _ in range(dice.randint(0, 5))}
    return Properties(content_encoding=dice.choice((None, "", "gzip", "UTF-8", "é")), headers=headers), dice.choice(
        (b"", b"x")
    )


def _outcome(make: Callable[[random.Random], tuple[Properties, bytes]], dice: random.Random) -> str:
    properties, body = make(dice)
    try:
        parsed = request.parse(properties, body, now=NOW)
    except ContractError as error:
        json.dumps([error.message, error.details]).encode()  # it goes into a reply
        return str(error.code)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error} for {properties} {body[:500]!r}") from error
    assert isinstance(parsed, Request)
    return "ok"


def test_fuzzed_bodies_and_options_end_in_a_request_or_a_contract_error(profile: Profile, results: Results) -> None:
    """An exception of any other kind would be retried for ten minutes instead of answered at once."""
    dice = random.Random(profile.seed)
    for number in range(profile.bodies):
        outcome = _outcome(_json_body if number % 4 else _option_headers, dice)
        results.measured[outcome] = results.measured.get(outcome, 0) + 1
    results.said.append(str(results.measured))
    assert results.measured["ok"] > profile.bodies // 50, "the generator makes too few that are right"
