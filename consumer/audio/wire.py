"""The framed protocol between the pool and a child: two lengths, a JSON header, a payload.

Never imports asyncio: the child must start fast, and only the parent needs it.

A file goes to the child as one `file` frame with the `seconds` of sound that there is room for. The child answers with
any number of `pcm` frames (s16le, mono, 16 kHz, in order) and then one `done`, `rejected`, or `longer` with the
`seconds` that it needs (the frames before it are then void). Before its first file it sends `ready` with its
`confinement`.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

READY: Final = "ready"
FILE: Final = "file"
PCM: Final = "pcm"
DONE: Final = "done"
LONGER: Final = "longer"
REJECTED: Final = "rejected"

MAX_HEADER_BYTES: Final = 16 * 1024
_LENGTHS: Final = struct.Struct(">II")
PREFIX_BYTES: Final = _LENGTHS.size

Header = dict[str, Any]


class WireError(Exception):
    """The other side breaks the protocol; what it sent is not in the message."""


def head(header: Mapping[str, Any], payload_bytes: int = 0) -> bytes:
    """All of a frame but its payload."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(text), payload_bytes) + text


def lengths(prefix: bytes, max_payload: int) -> tuple[int, int]:
    """Header and payload length, in bytes; raises `WireError` before anything of that size is allocated."""
    header_bytes, payload_bytes = _LENGTHS.unpack(prefix)
    if header_bytes > MAX_HEADER_BYTES:
        raise WireError(f"a header of {header_bytes} bytes, {MAX_HEADER_BYTES} at most")
    if payload_bytes > max_payload:
        raise WireError(f"a payload of {payload_bytes} bytes, {max_payload} at most")
    return header_bytes, payload_bytes


def parse(text: bytes) -> Header:
    """The header of a frame: a JSON object with a `kind`."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):  # RecursionError: brackets nested thousands deep
        raise WireError("a header that is not JSON") from None
    if not isinstance(header, dict) or not isinstance(header.get("kind"), str):
        raise WireError("a header without a kind")
    return header


def read(stream: BinaryIO, max_payload: int) -> tuple[Header, bytes] | None:
    """One frame from a blocking stream; None when the other side has closed it between two frames."""
    prefix = stream.read(PREFIX_BYTES)
    if not prefix:
        return None
    header_bytes, payload_bytes = lengths(_whole(prefix, PREFIX_BYTES), max_payload)
    header = parse(_whole(stream.read(header_bytes), header_bytes))
    return header, _whole(stream.read(payload_bytes), payload_bytes)


def write(stream: BinaryIO, header: Mapping[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write one frame to a blocking, buffered stream.

    `header`: a JSON object with a `kind`; `payload`: its bytes, empty by default.
    """
    stream.write(head(header, len(payload)))
    stream.write(payload)
    stream.flush()


def _whole(data: bytes, expected: int) -> bytes:
    if len(data) != expected:
        raise WireError("the stream ended inside a frame")
    return data
