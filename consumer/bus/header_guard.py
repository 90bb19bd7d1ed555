"""Keeps one message's broken AMQP properties from killing the connection that carries it.

pamqp decodes content headers inside the connection's reader task; whatever it raises there (a timestamp in
microseconds, ids that are not UTF-8, deeply nested tables) closes the connection, requeues every other note in hand,
and does so again on each redelivery (aiormq #186, pika #1698). The guard turns such a header into an empty one with a
mark that no wire value can forge, so that the message arrives and can be dead-lettered. It also reads routing keys that
are not UTF-8: whoever may bind our queue to an exchange can send them.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aio_pika import DeliveryMode
from pamqp import frame
from pamqp.base import Frame
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader

MARK = "sttd-malformed"
_HEADER_HOOK = "_unmarshal_header_frame"  # pamqp has no public hooks; a test fails if these go away
_METHOD_HOOK = "_unmarshal_method_frame"
_FIXED = struct.Struct(">HHQ")  # class id, weight, body size: what precedes the properties
_DELIVER = Basic.Deliver.index.to_bytes(4)
_GET_OK = Basic.GetOk.index.to_bytes(4)


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
    header: Callable[[bytes], ContentHeader] = getattr(frame, _HEADER_HOOK)
    method: Callable[[bytes], Frame] = getattr(frame, _METHOD_HOOK)
    setattr(frame, _HEADER_HOOK, lambda frame_data: _guarded_header(header, frame_data))
    setattr(frame, _METHOD_HOOK, lambda frame_data: _guarded_method(method, frame_data))
    try:
        yield
    finally:
        setattr(frame, _HEADER_HOOK, header)
        setattr(frame, _METHOD_HOOK, method)


def _guarded_method(original: Callable[[bytes], Frame], data: bytes) -> Frame:
    try:
        return original(data)
    except PAMQPException:
        if data.startswith(_DELIVER):
            return _deliver(data[4:])
        if data.startswith(_GET_OK):
            return _get_ok(data[4:])
        raise


def _deliver(data: bytes) -> Basic.Deliver:
    """Read a delivery whose exchange or routing key is not UTF-8; neither is used here."""
    read = Basic.Deliver()  # whose constructor would refuse names that brokers allow
    read.consumer_tag, rest = _short(data)
    read.delivery_tag, read.redelivered = struct.unpack_from(">Q?", rest)
    read.exchange, rest = _short(rest[9:])
    read.routing_key, _ = _short(rest)
    return read


def _get_ok(data: bytes) -> Basic.GetOk:
    """The same for the answer to `basic.get`, by which `sttd dead` reads."""
    read = Basic.GetOk()
    read.delivery_tag, read.redelivered = struct.unpack_from(">Q?", data)
    read.exchange, rest = _short(data[9:])
    read.routing_key, rest = _short(rest)
    (read.message_count,) = struct.unpack_from(">L", rest)
    return read


def _short(data: bytes) -> tuple[str, bytes]:
    end = 1 + data[0]
    return data[1:end].decode(errors="replace"), data[end:]


def _guarded_header(original: Callable[[bytes], ContentHeader], data: bytes) -> ContentHeader:
    try:
        header = original(data)
        _refuse_what_aio_pika_cannot_take(header.properties)
    except Exception as error:  # noqa: BLE001 - from RecursionError to struct.error, ValueError, OverflowError
        return _empty(data, f"{type(error).__name__}: {error}"[:200])
    return header


def _refuse_what_aio_pika_cannot_take(properties: Basic.Properties) -> None:
    """`IncomingMessage` converts these in the consumer's task, where a failure leaves the message unacked for ever."""
    if properties.expiration is not None:
        float(properties.expiration)
    if not isinstance(properties.timestamp, datetime | None):
        raise TypeError("the timestamp is not a time")
    DeliveryMode(properties.delivery_mode or DeliveryMode.NOT_PERSISTENT)


def _empty(data: bytes, reason: str) -> ContentHeader:
    class_id, weight, body_size = _FIXED.unpack_from(data)
    mark: Any = Malformed(reason)
    header = ContentHeader(weight, body_size, Basic.Properties(headers={MARK: mark}))
    header.class_id = class_id
    return header
