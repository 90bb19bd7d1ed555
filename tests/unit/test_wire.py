"""The protocol between the pool and a child keeps its bounds whatever the other side sends."""

import io
import struct

import pytest

from sttd.consumer.audio import wire


def frame(header: bytes, payload: bytes = b"") -> bytes:
    """A frame with any header at all."""
    return struct.pack(">II", len(header), len(payload)) + header + payload


def test_what_is_written_is_read_back_frame_by_frame() -> None:
    """Two frames in one stream come out as the two that went in, then the end."""
    stream = io.BytesIO()
    wire.write(stream, {"kind": "pcm", "note": "Ёж"}, b"\x01\x02")
    wire.write(stream, {"kind": "done"})
    stream.seek(0)
    assert wire.read(stream, 2) == ({"kind": "pcm", "note": "Ёж"}, b"\x01\x02")
    assert wire.read(stream, 0) == ({"kind": "done"}, b"")
    assert wire.read(stream, 0) is None


def test_a_payload_beyond_the_budget_is_refused_by_its_announced_length() -> None:
    """Four gigabytes announced are refused before a byte of them is read or allocated."""
    stream = io.BytesIO(struct.pack(">II", 2, 2**32 - 1) + b"{}")
    with pytest.raises(wire.WireError, match="payload of 4294967295 bytes"):
        wire.read(stream, 1000)
    assert stream.tell() == wire.PREFIX_BYTES


def test_a_header_beyond_its_bound_is_refused() -> None:
    """A header is small; a large one is not ours."""
    with pytest.raises(wire.WireError, match="header of"):
        wire.lengths(struct.pack(">II", wire.MAX_HEADER_BYTES + 1, 0), 0)


@pytest.mark.parametrize(
    "header", [b"", b"{", b"[]", b"{}", b'{"kind": 1}', b"\xff\xfe", b"[" * 16_000], ids=lambda value: repr(value[:12])
)
def test_a_header_that_is_not_an_object_with_a_kind_is_refused(header: bytes) -> None:
    """Whatever a broken child sends as a header, it is a `WireError` and no other exception."""
    with pytest.raises(wire.WireError, match="header"):
        wire.read(io.BytesIO(frame(header)), 0)


@pytest.mark.parametrize("length", range(1, 22))
def test_a_stream_that_ends_inside_a_frame_is_not_an_end(length: int) -> None:
    """A child that dies in the middle of an answer is never taken for one that has finished."""
    whole = frame(b'{"kind":"pcm"}', b"ab")
    assert len(whole) == 24
    with pytest.raises(wire.WireError):
        wire.read(io.BytesIO(whole[:length]), 2)


def test_a_refusal_never_quotes_what_was_sent() -> None:
    """What a child sends may be speech: it does not get into a message that may be logged."""
    with pytest.raises(wire.WireError) as caught:
        wire.read(io.BytesIO(frame(b"secret words")), 0)
    assert "secret" not in str(caught.value)
