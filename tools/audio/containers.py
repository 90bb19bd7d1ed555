"""Containers written by hand, so that they can lie: Ogg pages, FLAC frames of a constant, MP4 boxes, Matroska elements.

Pure.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

MIB: Final = 1024 * 1024
_MIRROR: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
FIRST, LAST = 2, 4


def ogg_page(packets: list[bytes], number: int, granule: int, *, flags: int = 0, serial: int = 1) -> bytes:
    """One page with its checksum; packets of any size below 64 KiB together."""
    table = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, number, 0, len(table))
    page = head + table + b"".join(packets)
    checksum = zlib.crc32(page.translate(_MIRROR), 2**32 - 1) ^ 2**32 - 1
    return page[:22] + checksum.to_bytes(4, "little").translate(_MIRROR)[::-1] + page[26:]


def opus_headers(channels: int = 1, serial: int = 1, *, mapping: bytes = b"\0") -> list[bytes]:
    """The two header pages of Ogg/Opus."""
    head = b"OpusHead" + struct.pack("<BBHIh", 1, channels, 0, 48_000, 0) + mapping
    tags = b"OpusTags" + struct.pack("<II", 0, 0)
    return [ogg_page([head], 0, 0, flags=FIRST, serial=serial), ogg_page([tags], 1, 0, serial=serial)]


def opus_silence(seconds: int, *, granule_per_second: int = 48_000, serial: int = 1) -> bytes:
    """Ogg/Opus of packets that hold 120 ms of nothing in two bytes.

    `granule_per_second` other than 48,000 lies about the length.
    """
    packet = b"\xfb\x06"  # code 3, six frames of 20 ms, each empty
    pages = opus_headers(serial=serial)
    left, number, done = seconds * 1000 // 120, 2, 0
    while left:
        count = min(left, 250)
        left, done = left - count, done + count
        flags = 0 if left else LAST
        pages.append(
            ogg_page([packet] * count, number, done * 120 * granule_per_second // 1000, flags=flags, serial=serial)
        )
        number += 1
    return b"".join(pages)


def flac_constant(seconds: int, *, rate: int = 8_000, channels: int = 1, declared_samples: int | None = None) -> bytes:
    """FLAC whose every frame is "the same value all along": twenty bytes for up to eight seconds."""
    block = 65_535
    total = seconds * rate if declared_samples is None else declared_samples
    info = (
        struct.pack(">HH", block, block)
        + bytes(6)
        + (rate << 44 | channels - 1 << 41 | 15 << 36 | total).to_bytes(8)
        + bytes(16)
    )
    frames = (_flac_frame(number, block, channels) for number in range(seconds * rate // block + 1))
    return b"fLaC" + b"\x80\0\0\x22" + info + b"".join(frames)


def _flac_frame(number: int, block: int, channels: int) -> bytes:
    head = bytes([0xFF, 0xF8, 0x70, (channels - 1) << 4]) + _utf8(number) + struct.pack(">H", block - 1)
    frame = head + bytes([_crc(head, 8, 0x07)]) + b"\0\0\0" * channels
    return frame + _crc(frame, 16, 0x8005).to_bytes(2)


def _utf8(number: int) -> bytes:
    """FLAC numbers its frames in UTF-8's way, surrogates and all."""
    return chr(number).encode(errors="surrogatepass")


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    value, top = 0, 1 << bits
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial | top if value << 1 & top else 0)
    return value


def box(kind: bytes, *parts: bytes) -> bytes:
    """An MP4 box."""
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def find_box(audio: bytes, kind: bytes) -> int:
    """Where the body of the first such box begins."""
    return audio.index(kind) + 4


def patched(audio: bytes, at: int, value: bytes) -> bytes:
    """The same file with some bytes replaced."""
    return audio[:at] + value + audio[at + len(value) :]


def element(identity: str, *parts: bytes) -> bytes:
    """A Matroska element; `identity` in hexadecimal."""
    body = b"".join(parts)
    return bytes.fromhex(identity) + (len(body) | 1 << 56).to_bytes(8) + body


def number(identity: str, value: int, width: int = 4) -> bytes:
    """A Matroska element that holds a number."""
    return element(identity, value.to_bytes(width))


def matroska(tracks: Iterable[bytes], clusters: Iterable[bytes]) -> bytes:
    """A Matroska file without cues and without a duration."""
    head = element("1A45DFA3", element("4282", b"matroska"), number("4287", 4), number("4285", 2))
    info = element("1549A966", number("2AD7B1", 1_000_000))
    return head + element("18538067", info, element("1654AE6B", *tracks), *clusters)


def track(index: int, codec: bytes, *, rate: float, bits: int = 8, more: bytes = b"") -> bytes:
    """A Matroska audio track."""
    sound = element("E1", element("B5", struct.pack(">d", rate)), number("9F", 1), number("6264", bits))
    return element("AE", number("D7", index), number("73C5", index), number("83", 2), element("86", codec), sound, more)


def clusters(blocks: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """A cluster for each block of (milliseconds, data) of track 1."""
    for at, data in blocks:
        yield element("1F43B675", number("E7", at), element("A3", b"\x81\0\0\x80" + data))
