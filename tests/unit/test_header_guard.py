"""The guard in front of pamqp's parser: whatever the properties are, a frame comes out and the connection lives."""

import struct
from typing import Any

import pytest
from aio_pika import IncomingMessage
from aiormq.abc import DeliveredMessage
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.commands import Basic
from pamqp.exceptions import UnmarshalingException
from pamqp.header import ContentHeader

from sttd.consumer.bus import header_guard
from tests.support.amqp_raw import (
    BASIC,
    CORRELATION_ID,
    EXPIRATION,
    HEADER,
    HEADERS,
    METHOD,
    POISON_PROPERTIES,
    REFUSED_PROPERTIES,
    TIMESTAMP,
    moment,
    short,
    table,
)

DELIVERY_MODE = 1 << 12
BODY_SIZE = 4321


def framed(kind: int, payload: bytes) -> bytes:
    """One frame on channel 1."""
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"


def header_frame(flags: int, properties: bytes) -> bytes:
    """The content header of a message with these property bytes."""
    return framed(HEADER, struct.pack(">HHQH", BASIC, 0, BODY_SIZE, flags) + properties)


def read_header(flags: int, properties: bytes) -> ContentHeader:
    """What pamqp makes of it."""
    _, _, header = frame.unmarshal(header_frame(flags, properties))
    assert isinstance(header, ContentHeader)
    return header


def delivery(consumer_tag: bytes, exchange: bytes, routing_key: bytes) -> bytes:
    """A Basic.Deliver frame."""
    return framed(
        METHOD,
        struct.pack(">HH", 60, 60)
        + short(consumer_tag)
        + struct.pack(">Q?", 7, True)
        + short(exchange)
        + short(routing_key),
    )


@pytest.mark.parametrize("case", [*POISON_PROPERTIES, *REFUSED_PROPERTIES])
def test_every_known_poison_becomes_an_empty_header_with_a_mark(case: str) -> None:
    """The message arrives, its size is known, and its reason can be read; no exception ends the reader."""
    flags, properties = (POISON_PROPERTIES | REFUSED_PROPERTIES)[case]
    with header_guard.installed():
        header = read_header(flags, properties)

    reason = header_guard.reason_of(header.properties.headers)
    readable = case in {
        "header_nan",
        "trailing_bytes",
        "flags_continued",
        "string_cut_off",
    }  # pamqp takes these, and so may we
    assert header.class_id == BASIC
    assert header.body_size == BODY_SIZE
    assert (reason is None) == readable


@pytest.mark.parametrize("case", POISON_PROPERTIES)
def test_without_the_guard_the_parser_raises(case: str) -> None:
    """If this fails, the library has learned to read it, and the guard may lose a case."""
    with pytest.raises(Exception, match=r"."):
        read_header(*POISON_PROPERTIES[case])


@given(st.integers(0, 0xFFFF), st.binary(max_size=400))
def test_no_bytes_at_all_get_past_the_guard_as_an_exception(flags: int, properties: bytes) -> None:
    """aio-pika's later reading of the header, in a task where no handler would catch an error, works as well."""
    with header_guard.installed():
        header = read_header(flags, properties)
        message = incoming(header)

    assert (header.body_size, message.body) == (BODY_SIZE, b"")


def incoming(header: ContentHeader) -> IncomingMessage:
    """aio-pika's message of a header."""
    deliver = Basic.Deliver(consumer_tag="c", delivery_tag=1, exchange="", routing_key="q")
    channel: Any = None
    return IncomingMessage(DeliveredMessage(delivery=deliver, header=header, body=b"", channel=channel))


@pytest.mark.parametrize(
    ("flags", "properties"), [(EXPIRATION, short(b"soon")), (EXPIRATION, short(b"")), (DELIVERY_MODE, b"\x03")]
)
def test_what_only_the_library_above_refuses_is_marked_as_well(flags: int, properties: bytes) -> None:
    """aio-pika converts these in the consumer's task: the message would stay unacked until the process ends."""
    with header_guard.installed():
        header = read_header(flags, properties)
        incoming(header)

    assert header_guard.reason_of(header.properties.headers) or header.properties.expiration == ""


def test_good_properties_pass_untouched() -> None:
    """The guard costs a good message nothing."""
    flags, properties = (
        HEADERS | CORRELATION_ID | TIMESTAMP,
        table({b"stt-vad": b"t\x01"}) + short(b"1") + moment(1_764_000_000),
    )
    plain = read_header(flags, properties)
    with header_guard.installed():
        guarded = read_header(flags, properties)

    assert dict(guarded.properties) == dict(plain.properties)
    assert header_guard.reason_of(guarded.properties.headers) is None


def test_the_mark_cannot_be_forged_from_the_wire() -> None:
    """A caller that writes the mark must not have the request dead-lettered as another's fault, or hidden."""
    with header_guard.installed():
        header = read_header(HEADERS, table({header_guard.MARK.encode(): b"S" + struct.pack(">I", 4) + b"true"}))

    assert header_guard.reason_of(header.properties.headers) is None


@pytest.mark.parametrize(
    ("exchange", "routing_key"), [(b"fan", b"\xff"), (b"\xff\xfe", b"stt.requests"), (b"\xff" * 255, b"\xff" * 255)]
)
def test_a_delivery_with_names_that_are_not_utf8_arrives(exchange: bytes, routing_key: bytes) -> None:
    """A binding of our queue to an exchange chooses the routing key (seen to kill the connection on 3.10.8)."""
    data = delivery(b"ctag1.x", exchange, routing_key)
    with pytest.raises(UnmarshalingException):
        frame.unmarshal(data)

    with header_guard.installed():
        size, channel, read = frame.unmarshal(data)

    assert isinstance(read, Basic.Deliver)
    assert (size, channel) == (len(data), 1)
    assert (read.consumer_tag, read.delivery_tag, read.redelivered) == ("ctag1.x", 7, True)


def test_other_broken_methods_are_still_errors() -> None:
    """The guard forgives what callers can write, not a broker that sends nonsense."""
    with header_guard.installed(), pytest.raises(UnmarshalingException):
        frame.unmarshal(framed(METHOD, struct.pack(">HH", 20, 40) + b"\x00"))


def test_the_guard_leaves_pamqp_as_it_found_it() -> None:
    """A library in the same process, a client in a test for example, must not notice."""
    before = (frame._unmarshal_header_frame, frame._unmarshal_method_frame)
    with header_guard.installed():
        assert frame._unmarshal_header_frame is not before[0]

    assert (frame._unmarshal_header_frame, frame._unmarshal_method_frame) == before
