"""The decoder child: takes one file at a time on its socket, sends PCM back. The only part of the daemon that imports av.

Imports av, schemas.codes and the standard library; never numpy, faster_whisper or asyncio (it must start fast).
Runs in a process of its own, because a stranger's bytes may kill it; it opens nothing but those bytes.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import av
import av.filter
import av.logging

from sttd.consumer.audio import confine, headers, wire
from sttd.consumer.audio.child import media, sound
from sttd.consumer.audio.child.refusal import Longer, Rejected
from sttd.consumer.audio.limits import DecodeLimits
from sttd.schemas.codes import ErrorCode

HEADERS_ONLY: Final = 4096
"""Bytes; a larger file without one sample did hold something, which we could not read."""

EXACT: Final = frozenset({"flac", "wav", "aiff", "caf", "w64"})
"""Containers that count samples, not packets."""
EXACT_SLACK: Final = 0.05
SILENCE: Final = (
    b"RIFF\x84\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x60\0\0\0" + b"\x80" * 96
)
"""A WAV file: twelve milliseconds at 8 kHz."""

Send = Callable[[memoryview], None]


def decode(audio: bytes, tally: sound.Tally, send: Send) -> dict[str, Any]:
    """Decode one file, handing PCM to `send` piece by piece; gives the fields of `AudioInfo`. Raises `Rejected`, `Longer`."""
    if headers.is_restarting_ogg(audio):
        raise Rejected(ErrorCode.AUDIO_UNREADABLE, "the file is a chain of Ogg streams that all have one serial number")
    with media.open_container(audio) as container:
        stream = media.audio_stream(container)
        declared = media.declared_seconds(audio, container, stream)
        ask_for_room(audio, stream, declared, tally)
        try:
            for piece in sound.resampled(sound.groups(sound.frames(container, stream, tally), tally)):
                tally.samples += len(piece) // 2
                send(piece)
        except Longer as more:
            raise Longer(max(more.seconds, media.surveyed_seconds(audio, tally.max_seconds))) from None
        if not tally.samples:
            raise nothing(audio, tally, declared)
        return info(audio, tally, container, stream, declared)


def ask_for_room(audio: bytes, stream: Any, declared: float | None, tally: sound.Tally) -> None:
    """Before the first frame of a file that says it is long: too long is refused at once, if its packets say the same."""
    if declared is not None and declared * media.density(stream) > tally.max_seconds:
        declared = media.surveyed_seconds(audio, tally.max_seconds)
    if declared is not None and declared > tally.room_seconds:
        raise Longer(declared)


def nothing(audio: bytes, tally: sound.Tally, declared: float | None) -> Rejected:
    """Why no sample came out: nothing in it, nothing left of it, or never audio at all."""
    if tally.out_of_memory:
        raise MemoryError  # perhaps this process is to blame and not the file: a fresh one will tell
    if not headers.looks_like_audio(audio):  # FFmpeg takes any long random bytes for MP3
        return Rejected(ErrorCode.UNSUPPORTED_MEDIA, "the bytes are in no audio format that is known")
    if tally.bad_packets or declared or len(audio) > HEADERS_ONLY:
        return Rejected(
            ErrorCode.AUDIO_UNREADABLE, "no sound could be decoded from the file", bad_packets=tally.bad_packets
        )
    return Rejected(ErrorCode.AUDIO_EMPTY, "the file holds not a single sample")


def is_short(seconds: float, declared: float | None, container: str) -> bool:
    """Whether clearly less came out than the container declared: an encoder's padding is not damage, a second of speech is."""
    if declared is None:
        return False
    allowed = EXACT_SLACK if container in EXACT else min(1.0, max(0.25, 0.01 * declared))
    return declared - seconds > allowed


def info(audio: bytes, tally: sound.Tally, container: Any, stream: Any, declared: float | None) -> dict[str, Any]:
    """The fields of `sttd.schemas.reply.AudioInfo`."""
    name, seconds = media.short_name(container), tally.samples / sound.OUT_RATE
    return {
        "duration": seconds,
        "declared_duration": None if declared is None else round(declared, 3),
        "format": name,
        "codec": stream.codec_context.codec.canonical_name,
        "sample_rate": tally.sample_rate,
        "channels": tally.channels,
        "truncated": is_short(seconds, declared, name) or tally.bad_packets > 0 or headers.is_cut(audio, name),
        "bad_packets": tally.bad_packets,
    }


def answer(audio: bytes, tally: sound.Tally, send: Send) -> dict[str, Any]:
    """The last frame's header for one file. Only `MemoryError` gets out: after it nothing in this process is certain."""
    try:
        return {"kind": wire.DONE, "info": decode(audio, tally, send)}
    except Longer as more:
        return {"kind": wire.LONGER, "seconds": more.seconds}
    except Rejected as refusal:
        return {"kind": wire.REJECTED, "code": refusal.code, "message": refusal.message, "details": refusal.details}
    except (MemoryError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 -- whatever a file makes the library raise is that file's fault; its text may quote the file
        details = {"error": type(error).__name__}
        return {
            "kind": wire.REJECTED,
            "code": ErrorCode.AUDIO_UNREADABLE,
            "message": "the decoder failed on this file",
            "details": details,
        }


def serve(source: BinaryIO, sink: BinaryIO, limits: DecodeLimits) -> None:
    """Answer file after file until the parent closes its end."""
    while (frame := wire.read(source, limits.max_input_bytes)) is not None:
        confine.limit_time(limits.decode_seconds)
        tally = sound.Tally(limits.max_audio_seconds, min(float(frame[0]["seconds"]), limits.max_audio_seconds))
        last = answer(frame[1], tally, lambda piece: wire.write(sink, {"kind": wire.PCM}, piece))
        wire.write(sink, last)
        del frame, last
        gc.collect()  # filter graphs hang in cycles; the parent already has its answer


def main(settings: str) -> None:
    """Run as a child. `settings`: JSON object with `parent` (process id) and `limits` (fields of `DecodeLimits`)."""
    given = json.loads(settings)
    limits = DecodeLimits(**given["limits"])
    confine.tie_to_parent(given["parent"])
    confine.ignore_signals()
    av.logging.set_level(None)  # before the first use: its callback and several threads have deadlocked (PyAV 751)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with os.fdopen(0, "rb", closefd=False) as source, os.fdopen(0, "wb", closefd=False) as sink:
        rehearse()
        gc.collect()
        gc.freeze()  # what the imports made stays; a collection after each file then costs little
        in_force = confine.confine(limits)  # the last thing before a stranger's bytes: nothing can be opened after it
        hush(nowhere)
        wire.write(sink, {"kind": wire.READY, "confinement": in_force})
        serve(source, sink, limits)


def rehearse() -> None:
    """Decode some silence and refuse some text: what PyAV imports only when it meets a stream has to be there before the files close."""
    for audio in (SILENCE, b"no audio"):
        answer(audio, sound.Tally(1.0, 1.0), lambda _: None)


def hush(nowhere: int) -> None:
    """From here on nothing that a library prints gets anywhere; start-up errors did, on the pipe the parent reads."""
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
