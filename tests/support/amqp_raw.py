"""A publisher that writes AMQP 0-9-1 by hand, so that a test can send properties which no client library would.

Just enough of the protocol to publish with a confirm and to read a message back undecoded. Tried on RabbitMQ 3.10.8
with classic and quorum queues: all of POISON_PROPERTIES are confirmed and delivered, and each makes pamqp 4.0.1 raise;
all of REFUSED_PROPERTIES cost the publisher its connection or channel and never reach a queue.
"""

import socket
import struct
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

METHOD, HEADER, BODY = 1, 2, 3
FRAME_END = b"\xce"
SECONDS = 60.0

CONNECTION_START, CONNECTION_START_OK, CONNECTION_TUNE, CONNECTION_TUNE_OK = (10, 10), (10, 11), (10, 30), (10, 31)
CONNECTION_OPEN, CONNECTION_OPEN_OK, CONNECTION_CLOSE, CONNECTION_CLOSE_OK = (10, 40), (10, 41), (10, 50), (10, 51)
CHANNEL_OPEN, CHANNEL_OPEN_OK, CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
BASIC_PUBLISH, BASIC_RETURN, BASIC_GET, BASIC_GET_OK, BASIC_ACK = (60, 40), (60, 50), (60, 70), (60, 71), (60, 80)
CONFIRM_SELECT, CONFIRM_SELECT_OK = (85, 10), (85, 11)
BASIC = 60
CONTENT_TYPE, CONTENT_ENCODING, HEADERS, CORRELATION_ID, REPLY_TO = 1 << 15, 1 << 14, 1 << 13, 1 << 10, 1 << 9
EXPIRATION, MESSAGE_ID, TIMESTAMP, TYPE, USER_ID, APP_ID = 1 << 8, 1 << 7, 1 << 6, 1 << 5, 1 << 4, 1 << 3
NOT_UTF8 = b"\xff\xfe\xfd"
NOW = 1_764_000_000
NESTING = 600


class Refused(Exception):
    """The broker closed the connection or the channel, or returned the message; carries its words."""


def short(value: bytes) -> bytes:
    """A short string: one byte of length."""
    return struct.pack(">B", len(value)) + value


def long(value: bytes) -> bytes:
    """A long string, or anything else with four bytes of length."""
    return struct.pack(">I", len(value)) + value


def table(fields: dict[bytes, bytes]) -> bytes:
    """A field table; keys are raw bytes, each value starts with its type tag."""
    return long(b"".join(short(key) + value for key, value in fields.items()))


def moment(value: int) -> bytes:
    """A timestamp: eight bytes, by the specification in seconds."""
    return struct.pack(">Q", value)


def nested_tables(depth: int) -> bytes:
    """Tables within tables."""
    value = table({})
    for _ in range(depth):
        value = table({b"k": b"F" + value})
    return value


def nested_arrays(depth: int) -> bytes:
    """A table with arrays within arrays."""
    value = b"t\x01"
    for _ in range(depth):
        value = b"A" + long(value)
    return table({b"k": value})


# Name -> property flags and property bytes. Delivered by the broker, fatal to the client library's parser.
POISON_PROPERTIES: dict[str, tuple[int, bytes]] = {
    "timestamp_microseconds": (TIMESTAMP, moment(NOW * 10**6)),
    "timestamp_nanoseconds": (TIMESTAMP, moment(NOW * 10**9)),
    "timestamp_largest": (TIMESTAMP, moment(2**64 - 1)),
    "content_type_not_utf8": (CONTENT_TYPE, short(NOT_UTF8)),
    "content_encoding_not_utf8": (CONTENT_ENCODING, short(NOT_UTF8)),
    "correlation_id_not_utf8": (CORRELATION_ID, short(NOT_UTF8)),
    "reply_to_not_utf8": (REPLY_TO, short(NOT_UTF8)),
    "message_id_not_utf8": (MESSAGE_ID, short(NOT_UTF8)),
    "type_not_utf8": (TYPE, short(NOT_UTF8)),
    "app_id_not_utf8": (APP_ID, short(NOT_UTF8)),
    "header_key_not_utf8": (HEADERS, table({NOT_UTF8: b"t\x01"})),
    "header_timestamp_microseconds": (HEADERS, table({b"when": b"T" + moment(NOW * 10**6)})),
    "header_timestamp_largest": (HEADERS, table({b"when": b"T" + moment(2**64 - 1)})),
    "header_tables_600_deep": (HEADERS, nested_tables(NESTING)),
    "header_arrays_600_deep": (HEADERS, nested_arrays(NESTING)),
}

# Refused by the broker itself (541 or 406), so no consumer ever sees them; another broker may be less strict.
REFUSED_PROPERTIES: dict[str, tuple[int, bytes]] = {
    "field_tag_unknown": (HEADERS, table({b"k": b"Z\x00"})),
    "header_nan": (HEADERS, table({b"k": b"d\x7f\xf8" + bytes(6)})),
    "table_longer_than_frame": (HEADERS, struct.pack(">I", 50) + b"\x01kt\x01"),
    "string_cut_off": (CORRELATION_ID, b"\x05ab"),
    "trailing_bytes": (CORRELATION_ID, short(b"1") + b"zzz"),
    "flags_continued": (CORRELATION_ID | 1, b"\x00\x00" + short(b"1")),
    "expiration_not_utf8": (EXPIRATION, short(NOT_UTF8)),
    "user_id_not_utf8": (USER_ID, short(NOT_UTF8)),
}


@dataclass(frozen=True)
class RawMessage:
    """A message as it is on the wire: 16 bits for the properties that follow, their bytes, the body."""

    property_flags: int
    property_bytes: bytes
    body: bytes


class RawConnection:
    """One connection with one channel in confirm mode. Any answer that is not the expected one raises `Refused`."""

    def __init__(self, amqp_url: str) -> None:
        parts = urlsplit(amqp_url)
        self._socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5672), timeout=SECONDS)
        self._stream = self._socket.makefile("rb")
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._expect(CONNECTION_START)
        login = f"\x00{unquote(parts.username or '')}\x00{unquote(parts.password or '')}".encode()
        self._method(0, CONNECTION_START_OK, table({}) + short(b"PLAIN") + long(login) + short(b"en_US"))
        tune = self._expect(CONNECTION_TUNE)
        self._frame_max = struct.unpack_from(">HI", tune)[1]
        self._method(0, CONNECTION_TUNE_OK, struct.pack(">HIH", 1, self._frame_max, 0))
        self._method(0, CONNECTION_OPEN, short(unquote(parts.path[1:]).encode() or b"/") + short(b"") + b"\x00")
        self._expect(CONNECTION_OPEN_OK)
        self._method(1, CHANNEL_OPEN, short(b""))
        self._expect(CHANNEL_OPEN_OK)
        self._method(1, CONFIRM_SELECT, b"\x00")
        self._expect(CONFIRM_SELECT_OK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stream.close()
        self._socket.close()

    def publish(self, routing_key: bytes, message: RawMessage, exchange: str = "") -> None:
        """Publish, mandatory; returns once the broker has confirmed."""
        self._method(1, BASIC_PUBLISH, struct.pack(">H", 0) + short(exchange.encode()) + short(routing_key) + b"\x01")
        head = struct.pack(">HHQH", BASIC, 0, len(message.body), message.property_flags)
        self._frame(HEADER, 1, head + message.property_bytes)
        step = self._frame_max - 8
        for start in range(0, len(message.body), step):
            self._frame(BODY, 1, message.body[start : start + step])
        self._expect(BASIC_ACK)

    def get(self, queue: str) -> RawMessage:
        """Take one message out of the queue; raises `Refused` if there is none."""
        self._method(1, BASIC_GET, struct.pack(">H", 0) + short(queue.encode()) + b"\x01")
        self._expect(BASIC_GET_OK)
        head = self._read(HEADER)
        _, _, size, flags = struct.unpack_from(">HHQH", head)
        body = b""
        while len(body) < size:
            body += self._read(BODY)
        return RawMessage(flags, head[14:], body)

    def _frame(self, kind: int, channel: int, payload: bytes) -> None:
        self._socket.sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + FRAME_END)

    def _method(self, channel: int, method: tuple[int, int], arguments: bytes) -> None:
        self._frame(METHOD, channel, struct.pack(">HH", *method) + arguments)

    def _read(self, kind: int) -> bytes:
        head = self._stream.read(7)
        if len(head) < 7:
            raise Refused("the broker closed the socket without a word")
        got, _, size = struct.unpack(">BHI", head)
        payload = self._stream.read(size + 1)[:-1]
        if got != kind:
            raise Refused(f"frame of type {got} instead of {kind}: {payload[:80]!r}")
        return payload

    def _expect(self, method: tuple[int, int]) -> bytes:
        payload = self._read(METHOD)
        got, arguments = struct.unpack_from(">HH", payload), payload[4:]
        if got == method:
            return arguments
        if got in {CONNECTION_CLOSE, CHANNEL_CLOSE, BASIC_RETURN}:
            code, size = struct.unpack_from(">HB", arguments)
            raise Refused(f"{code} {arguments[3 : 3 + size].decode(errors='replace')}")
        raise Refused(f"method {got} instead of {method}")


def publish_raw(amqp_url: str, queue: str, body: bytes, property_flags: int, property_bytes: bytes) -> None:
    """Publish one message to a queue with exactly these property bytes.

    Raises `Refused` if the broker refuses it.
    """
    with RawConnection(amqp_url) as connection:
        connection.publish(queue.encode(), RawMessage(property_flags, property_bytes, body))


def get_raw(amqp_url: str, queue: str) -> RawMessage:
    """Take one message out of a queue without decoding its properties; raises `Refused` if there is none."""
    with RawConnection(amqp_url) as connection:
        return connection.get(queue)
