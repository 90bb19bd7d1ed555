"""The decoder child: takes one file at a time on its socket, sends PCM back.

The only part of the daemon that imports av; never numpy, faster_whisper or asyncio, because it must start fast. It runs
in a process of its own, because untrusted bytes may kill it; it opens nothing but those bytes.
"""

import gc
import json
import os
import sys
from typing import Any, BinaryIO, Final

import av
import av.filter
import av.logging

from sttd.consumer.audio import confine, structure, wire
from sttd.consumer.audio.child import note
from sttd.consumer.audio.child.refusal import Longer, Rejected
from sttd.consumer.audio.child.tally import Tally
from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.structure import ogg
from sttd.schemas.codes import ErrorCode

SILENCE: Final = (
    b"RIFF\x84\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x60\0\0\0" + b"\x80" * 96
)
"""A WAV file: twelve milliseconds at 8 kHz."""


def decode(audio: bytes, tally: Tally, send: note.Send) -> dict[str, Any]:
    """Decode one file, handing PCM to `send` piece by piece; return the fields of `AudioInfo`.

    `audio`: the file's bytes; `tally`: its counts, empty; `send`: takes s16le mono PCM, 16 kHz. Raises `Rejected`,
    `Longer`.
    """
    if ogg.is_restarting(audio):
        raise Rejected(ErrorCode.AUDIO_UNREADABLE, "the file is a chain of Ogg streams that all have one serial number")
    found = structure.of(audio)
    heard, refused = list[note.Heard](), list[Rejected]()
    for part in found.parts:
        try:
            heard.append(note.decode(part.of(audio), part, tally, send))
        except Longer as more:
            raise Longer(max(more.seconds, note.announced_seconds(audio, found.parts, tally.max_seconds))) from None
        except Rejected as refusal:
            if refusal.code == ErrorCode.AUDIO_TOO_LONG:
                raise
            refused.append(refusal)
    if not heard:
        raise refused[0]
    lost = found.unread or any(refusal.code != ErrorCode.AUDIO_EMPTY for refusal in refused)
    return note.info(heard, tally, lost=lost)


def answer(audio: bytes, tally: Tally, send: note.Send) -> dict[str, Any]:
    """The last frame's header for one file.

    Raises only `MemoryError`: after it the state of this process is unknown.
    """
    try:
        return {"kind": wire.DONE, "info": decode(audio, tally, send)}
    except Longer as more:
        return {"kind": wire.LONGER, "seconds": more.seconds}
    except Rejected as refused:
        refusal = refused
    except (MemoryError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a file makes the library raise is that file's fault
        # The error's text may quote the file, so only its type is passed on.
        told = "the decoder failed on this file"
        refusal = Rejected(ErrorCode.AUDIO_UNREADABLE, told, error=type(error).__name__)
    return {"kind": wire.REJECTED, "code": refusal.code, "message": refusal.message, "details": refusal.details}


def serve(source: BinaryIO, sink: BinaryIO, limits: DecodeLimits) -> None:
    """Answer file after file until the parent closes its end."""
    while (frame := wire.read(source, limits.max_input_bytes)) is not None:
        confine.limit_time(limits.decode_seconds)
        tally = Tally(limits.max_audio_seconds, min(float(frame[0]["seconds"]), limits.max_audio_seconds))
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
        in_force = confine.confine(limits)  # the last step before untrusted bytes: nothing can be opened after it
        hush(nowhere)
        wire.write(sink, {"kind": wire.READY, "confinement": in_force})
        serve(source, sink, limits)


def rehearse() -> None:
    """Decode some silence and refuse some text, before the files close.

    PyAV imports some modules only when it meets a stream; they must be loaded by then.
    """
    for audio in (SILENCE, b"no audio"):
        answer(audio, Tally(1.0, 1.0), lambda _: None)


def hush(nowhere: int) -> None:
    """From here on what libraries print is dropped; start-up errors went to the pipe that the parent reads."""
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
