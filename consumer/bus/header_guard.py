"""Keeps one message's broken AMQP properties from killing the connection that carries it.

pamqp decodes content headers inside the connection's reader task; whatever it raises there (a timestamp in
microseconds, ids that are not UTF-8, deeply nested tables) closes the connection, requeues every other note in
hand, and does so again on each redelivery (aiormq #186, pika #1698). The guard turns such a header into an empty
one with a mark that no wire value can forge, so that the message arrives and can be dead-lettered.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

MARK = "sttd-malformed"
_HOOK = "_unmarshal_header_frame"  # pamqp has no public hook; a test fails if this one goes away
_FIXED = struct.Struct(">HHQ")  # class id, weight, body size: what precedes the properties


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands in the headers of a message whose properties could not be read. Never comes from the wire."""

    reason: str


def reason_of(headers: dict[str, Any] | None) -> str | None:
    """Why the properties of this message could not be read, or None when they could."""
    mark = (headers or {}).get(MARK)
    return mark.reason if isinstance(mark, Malformed) else None


@contextmanager
def installed() -> Iterator[None]:
    """Put the guard into pamqp for as long as the context lasts."""
    original: Callable[[bytes], ContentHeader] = getattr(frame, _HOOK)
    setattr(frame, _HOOK, lambda frame_data: _guarded(original, frame_data))
    try:
        yield
    finally:
        setattr(frame, _HOOK, original)


def _guarded(original: Callable[[bytes], ContentHeader], data: bytes) -> ContentHeader:
    try:
        header = original(data)
        _refuse_what_aio_pika_cannot_take(header.properties)
    except Exception as error:  # noqa: BLE001 - 600 nested tables end in RecursionError, others in struct.error, ValueError, OverflowError
        return _empty(data, f"{type(error).__name__}: {error}"[:200])
    return header


def _refuse_what_aio_pika_cannot_take(properties: Basic.Properties) -> None:
    """`IncomingMessage` converts these two in the consumer's task, where a failure leaves the message unacked for ever."""
    if properties.expiration is not None:
        float(properties.expiration)
    if not isinstance(properties.timestamp, datetime | None):
        raise TypeError("the timestamp is not a time")


def _empty(data: bytes, reason: str) -> ContentHeader:
    class_id, weight, body_size = _FIXED.unpack_from(data)
    mark: Any = Malformed(reason)
    header = ContentHeader(weight, body_size, Basic.Properties(headers={MARK: mark}))
    header.class_id = class_id
    return header
