"""Files that are small and would become large: each with the code that its caller must get.

Pure. Made for the default limits: an hour of sound, 20 MiB of file.
"""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, Final

import av
import numpy as np

from sttd.schemas.codes import ErrorCode
from tools.audio import containers as c
from tools.audio import files

TWO_HOURS: Final = 7200
LARGE: Final = 19 * c.MIB
TOO_LONG, NOT_TAKEN, BROKEN = ErrorCode.AUDIO_TOO_LONG, ErrorCode.UNSUPPORTED_MEDIA, ErrorCode.AUDIO_UNREADABLE
SILENCE: Final = np.zeros(16_000, dtype=np.float32)


def repeated(container: str, encoder: str, rate: int, *, seconds: int = TWO_HOURS) -> bytes:
    """A second of silence in a format without a header, over and over."""
    second = files.encode(container, encoder, rate, "mono", np.zeros(rate, dtype=np.float32))
    return second * (seconds + 1)


def mp3(seconds: int, xing_frames: int | None) -> bytes:
    """MP3 frames of silence, 8 kbit/s at 16 kHz: with no head that counts them, or one that lies."""
    whole = files.encode("mp3", "libmp3lame", 16_000, "mono", SILENCE)
    tag = whole.index(b"Info") if b"Info" in whole else whole.index(b"Xing")
    head = whole.rindex(b"\xff\xf3", 0, tag)
    body = whole[whole.index(b"\xff\xf3", tag) :]
    first = (
        b""
        if xing_frames is None
        else c.patched(whole, tag + 8, struct.pack(">I", xing_frames))[head : whole.index(b"\xff\xf3", tag)]
    )
    return first + body * (seconds + 1)


def alac(seconds: int) -> bytes:
    """An MOV with one packet of silence over and over."""
    out = io.BytesIO()
    with av.open(out, mode="w", format="mov") as target:
        stream: Any = target.add_stream("alac", rate=4_000, layout="mono", options={"compression_level": "2"})
        frames = files.frames(SILENCE, 4_000, "mono", stream.codec_context)
        (packet, *_) = [packet for frame in frames[:3] for packet in stream.encode(frame)]
        for at in range(seconds * 4_000 // 4096):
            packet.pts = packet.dts = at * 4096
            target.mux(packet)
    return out.getvalue()


def m4a(kind: bytes, at: int, value: bytes) -> bytes:
    """A good M4A but for one number in one box."""
    audio = files.encoded("m4a-aac")
    return c.patched(audio, c.find_box(audio, kind) + at, value)


def nested(kind: bytes, depth: int) -> bytes:
    """MP4 boxes within boxes."""
    size = 8 * depth
    return c.box(b"ftyp", b"M4A \0\0\0\0M4A ") + b"".join(
        struct.pack(">I4s", size - 8 * at, kind) for at in range(depth)
    )


def zlib_matroska() -> bytes:
    """Blocks that Matroska itself compresses: eight kilobytes each, eight megabytes unpacked."""
    packed = zlib.compress(bytes(8 * c.MIB), 9)
    encoding = c.element(
        "6D80",
        c.element(
            "6240",
            c.number("5031", 0),
            c.number("5032", 1),
            c.number("5033", 0),
            c.element("5034", c.number("4254", 0)),
        ),
    )
    return c.matroska(
        [c.track(1, b"A_PCM/INT/LIT", rate=8_000.0, more=encoding)],
        c.clusters((at * 1000, packed) for at in range(500)),
    )


def lying_matroska() -> bytes:
    """Two hours of 8-bit sound in blocks that claim to last a millisecond."""
    duration = c.number("23E383", 1_000_000)
    return c.matroska(
        [c.track(1, b"A_PCM/INT/LIT", rate=4_000.0, more=duration)],
        c.clusters((at, bytes(10_000)) for at in range(1900)),
    )


def zipped() -> bytes:
    """A zip archive of zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("note.ogg", bytes(64 * c.MIB))
    return out.getvalue()


def aiff_rate(rate: bytes) -> bytes:
    """An AIFF with this 80-bit number for a sample rate."""
    audio = files.encoded("aiff")
    return c.patched(audio, audio.index(b"COMM") + 16, rate)


def caf_rate(rate: float) -> bytes:
    """A CAF with this number for a sample rate."""
    audio = files.encoded("caf")
    return c.patched(audio, audio.index(b"desc") + 12, struct.pack(">d", rate))


def lying_alac() -> bytes:
    """An hour and more whose three durations claim one second."""
    audio = alac(3900)
    for kind, at in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
        audio = c.patched(audio, c.find_box(audio, kind) + at, struct.pack(">I", 1000))
    return audio


def rf64() -> bytes:
    """A WAV for large files whose size is beyond all measure."""
    plain = files.wav(bytes(LARGE), rate=4000, bits=8, data_size=2**32 - 1)
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, 2**63 - 1, 2**63 - 1, 2**63 - 1, 0)
    return b"RF64" + plain[4:12] + sizes + plain[12:]


def deep_matroska() -> bytes:
    """Clusters of unknown size, each within the one before."""
    return c.matroska([], [b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7] * 100_000)


def many_tracks() -> bytes:
    """A Matroska file of a thousand tracks without a block."""
    return c.matroska((c.track(at, b"A_MPEG/L3", rate=8000.0) for at in range(1, 1001)), [])


def metadata_alone() -> bytes:
    """An MP4 of nineteen megabytes about nothing."""
    return c.box(b"ftyp", b"M4A \0\0\0\0M4A ") + c.box(b"moov", c.box(b"udta", bytes(LARGE)))


def laughing_xml() -> bytes:
    """A DASH manifest whose entities grow tenfold, eleven times."""
    entities = "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 12))
    return f"<?xml version='1.0'?><!DOCTYPE MPD [<!ENTITY a0 'ha'>{entities}]><MPD>&a11;</MPD>".encode()


BOMBS: Final[dict[str, tuple[Callable[[], bytes], ErrorCode]]] = {
    "WAV at 1 Hz": (lambda: files.wav(b"\x80" * 600, rate=1, bits=8), NOT_TAKEN),
    "WAV at 2 GHz": (lambda: files.wav(bytes(6000), rate=2**31 - 1), NOT_TAKEN),
    "WAV at 0 Hz": (lambda: files.wav(bytes(6000), rate=0), BROKEN),
    "WAV with 65,535 channels": (lambda: files.wav(bytes(c.MIB), channels=65_535), BROKEN),
    "WAV with 1,024 channels": (lambda: files.wav(bytes(c.MIB), channels=1024), BROKEN),
    "WAV with 9 channels": (lambda: files.wav(bytes(c.MIB), channels=9), NOT_TAKEN),
    "WAV of 80 minutes at 4 kHz": (lambda: files.wav(bytes(LARGE), rate=4000, bits=8), TOO_LONG),
    "the same that claims 4 GB": (lambda: files.wav(bytes(LARGE), rate=4000, bits=8, data_size=2**32 - 1), TOO_LONG),
    "W64 of 80 minutes at 4 kHz": (
        lambda: files.encode("w64", "pcm_u8", 4000, "mono", np.zeros(4800 * 4000, dtype=np.float32)),
        TOO_LONG,
    ),
    "AIFF at 1 Hz": (lambda: aiff_rate(b"\x3f\xff\x80" + bytes(7)), NOT_TAKEN),
    "AIFF at 10^4000 Hz": (lambda: aiff_rate(b"\x7f\xf0\x80" + bytes(7)), BROKEN),
    "CAF at 1 Hz": (lambda: caf_rate(1.0), NOT_TAKEN),
    "CAF at no number Hz": (lambda: caf_rate(float("nan")), BROKEN),
    "FLAC of two hours": (lambda: c.flac_constant(TWO_HOURS), TOO_LONG),
    "the same without a length": (lambda: c.flac_constant(TWO_HOURS, declared_samples=0), TOO_LONG),
    "the same that claims one second": (lambda: c.flac_constant(TWO_HOURS, declared_samples=8000), TOO_LONG),
    "FLAC, 7.1 at 192 kHz, fifty minutes": (lambda: c.flac_constant(3000, rate=192_000, channels=8), TOO_LONG),
    "the same that claims one second, 7.1": (
        lambda: c.flac_constant(3000, rate=192_000, channels=8, declared_samples=192_000),
        TOO_LONG,
    ),
    "ALAC of 65 minutes": (lambda: alac(3900), TOO_LONG),
    "ALAC of 65 minutes that claims one second": (lying_alac, TOO_LONG),
    "Ogg Opus of two hours": (lambda: c.opus_silence(TWO_HOURS), TOO_LONG),
    "the same that claims two seconds": (lambda: c.opus_silence(TWO_HOURS, granule_per_second=13), TOO_LONG),
    "Ogg Opus of a day": (lambda: c.opus_silence(86_400), TOO_LONG),
    "endless chain of Ogg streams": (
        lambda: b"".join(c.opus_silence(1, serial=at) for at in range(TWO_HOURS)),
        TOO_LONG,
    ),
    "endless chain with one serial": (lambda: c.opus_silence(1) * TWO_HOURS, BROKEN),
    "chain of Ogg headers": (lambda: b"".join(b"".join(c.opus_headers(serial=at)) for at in range(40_000)), BROKEN),
    "ten thousand Ogg streams side by side": (
        lambda: b"".join(c.opus_headers(serial=at)[0] for at in range(10_000)),
        BROKEN,
    ),
    "Ogg Opus with 255 channels": (
        lambda: b"".join(
            [
                *c.opus_headers(255, mapping=b"\xff\xff\0" + bytes(range(255))),
                c.ogg_page([b"\xfc"] * 200, 2, 1, flags=c.LAST),
            ]
        ),
        NOT_TAKEN,
    ),
    "MP3 of 70 minutes": (lambda: mp3(4200, None), TOO_LONG),
    "MP3 of 70 minutes that claims one second": (lambda: mp3(4200, 28), TOO_LONG),
    "MP3 that is all ID3": (lambda: b"ID3\x04\0\0\x09\x70\0\0" + bytes(LARGE), BROKEN),
    "fifty thousand ID3 tags": (lambda: (b"ID3\x04\0\0\0\0\x02\0" + bytes(256)) * 50_000, BROKEN),
    "AAC of two hours": (lambda: repeated("adts", "aac", 8_000), TOO_LONG),
    "AMR of a hundred hours of nothing": (lambda: b"#!AMR\n" + b"\x7c" * LARGE, TOO_LONG),
    "AMR-WB of a hundred hours": (lambda: b"#!AMR-WB\n" + b"\x7c" * LARGE, TOO_LONG),
    "Matroska with compressed blocks": (zlib_matroska, TOO_LONG),
    "Matroska with lying blocks": (lying_matroska, TOO_LONG),
    "Matroska nested without end": (deep_matroska, ErrorCode.NO_AUDIO_STREAM),
    "Matroska with a thousand tracks": (many_tracks, BROKEN),
    "MP4 nested without end": (lambda: nested(b"moov", 200_000), BROKEN),
    "MP4 of meta in meta": (lambda: nested(b"udta", 200_000), BROKEN),
    "MP4 that counts to two billion": (lambda: m4a(b"stsz", 4, struct.pack(">II", 1, 2**31 - 1)), BROKEN),
    "MP4 of metadata alone": (metadata_alone, ErrorCode.NO_AUDIO_STREAM),
    "RF64 of 2^63 bytes": (rf64, TOO_LONG),
    "WavPack": (
        lambda: files.encode("wv", "wavpack", 16_000, "mono", np.zeros(16_000 * 60, dtype=np.float32)),
        NOT_TAKEN,
    ),
    "gzip": (lambda: gzip.compress(bytes(64 * c.MIB)), NOT_TAKEN),
    "zip": (zipped, NOT_TAKEN),
    "XML that laughs a billion times": (laughing_xml, NOT_TAKEN),
    "video without sound": (files.silent_video, ErrorCode.NO_AUDIO_STREAM),
}
