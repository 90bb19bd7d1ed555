"""How dead letters are shown: a table, JSON, or every property of one. Whatever a sender wrote is shown harmless.

Never shows a body.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sttd.commands.dead.letters import Kind, Letter
from sttd.commands.terminal import harmless

LONGEST: Final = 40
"""Characters of an id in a table; `show` and --json have all of it."""

COLUMNS: Final = {
    Kind.REQUESTS: (
        "at",
        "first seen (UTC)",
        "reason",
        "code",
        "try",
        "lane",
        "correlation id",
        "message id",
        "bytes",
        "worker",
    ),
    Kind.REPLIES: ("at", "parked (UTC)", "meant for", "type", "correlation id", "message id", "bytes", "worker"),
}


def in_order(letters: Sequence[Letter]) -> list[Letter]:
    """Newest last. RabbitMQ puts what was looked at behind what was not: the queue's own order has little meaning."""
    return sorted(letters, key=lambda letter: letter.seen or datetime.min.replace(tzinfo=UTC))


def table(kind: Kind, letters: Sequence[Letter], lanes: Sequence[str]) -> list[str]:
    """Lines: one per letter under their headings. As wide as it takes, so that ids stay whole and `grep` finds them."""
    rows = [_request_row(letter, lanes) if kind is Kind.REQUESTS else _reply_row(letter) for letter in letters]
    cells = [COLUMNS[kind], *((f"@{position}", *row) for position, row in enumerate(rows, 1))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def _request_row(letter: Letter, lanes: Sequence[str]) -> tuple[str, ...]:
    return (
        _when(letter.seen),
        "malformed" if letter.malformed else _short(letter.reason),
        _short(letter.code),
        _short(letter.attempt),
        _short(letter.lane(lanes)),
        _short(letter.correlation_id),
        _short(letter.message_id),
        f"{letter.size:,}",
        _short(letter.worker),
    )


def _reply_row(letter: Letter) -> tuple[str, ...]:
    told = (letter.meant_for, letter.properties.get("type"), letter.correlation_id, letter.message_id)
    return (_when(letter.seen), *map(_short, told), f"{letter.size:,}", _short(letter.worker))


def summary(letter: Letter, lanes: Sequence[str]) -> dict[str, Any]:
    """One letter for programs."""
    return {
        "first_seen": letter.seen.isoformat() if letter.seen else None,
        "reason": letter.reason,
        "code": letter.code,
        "attempt": letter.attempt,
        "lane": letter.lane(lanes),
        "reply_to": letter.reply_to or letter.meant_for,
        "correlation_id": letter.correlation_id,
        "message_id": letter.message_id,
        "bytes": letter.size,
        "worker": letter.worker,
    }


def everything(letter: Letter) -> dict[str, Any]:
    """All properties and headers of one letter, for programs."""
    told: dict[str, Any] = {"routing_key": letter.routing_key, "bytes": letter.size}
    if letter.malformed:
        told["malformed"] = letter.malformed
    return told | {"properties": plain(letter.properties), "headers": plain(letter.headers)}


def as_json(value: Any) -> str:
    """Indented, readable, and safe for a terminal: control characters are escaped, of which JSON itself has few."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def description(letter: Letter) -> list[str]:
    """Lines: every property and header of one letter."""
    told = {
        "reason": letter.malformed or letter.reason,
        "routing key": letter.routing_key,
        "body": f"{letter.size:,} bytes",
    }
    told |= {name: _value(value) for name, value in letter.properties.items()}
    told |= {f"header {name}": _value(value) for name, value in sorted(letter.headers.items())}
    width = max(map(len, told))
    return [harmless(f"{name:<{width}}  {value}") for name, value in told.items()]


def name_of(letter: Letter) -> str:
    """How a line about a letter calls it."""
    known = letter.message_id or letter.correlation_id
    return harmless(known) if known else "a message without ids"


def plain(value: Any) -> Any:
    """AMQP values as JSON has them."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | float | str):
        return value
    return int(value) if isinstance(value, int) else _text(value)  # AMQP's own integers print their type


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return bytes(value).hex() if isinstance(value, bytes | bytearray) else str(value)


def _value(value: Any) -> str:
    simple = plain(value)
    return harmless(simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False))


def _short(value: object) -> str:
    text = harmless(str(value)) if value is not None else "-"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _when(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if moment else "-"
