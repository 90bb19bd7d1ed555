"""The decoder child: takes one file at a time on its socket, sends PCM back. The only file that imports av.

Imports av, schemas.codes and the standard library; never numpy, faster_whisper or asyncio (it must start fast).
Runs in a process of its own, because a stranger's bytes may kill it; it opens nothing but those bytes.
"""

from __future__ import annotations

import gc
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import av.logging

from consumer.audio import confine, headers, wire
from consumer.audio.limits import DecodeLimits
from schemas.codes import ErrorCode

FORMATS: Final = "wav,flac,ogg,mp3,matroska,webm,mov,mp4,m4a,3gp,aac,amr,aiff,caf,w64"
CODECS: Final = frozenset("aac alac amr_nb amr_wb flac mp2 mp3 opus speex vorbis adpcm_ima_qt adpcm_ima_wav adpcm_ms".split())
"""By FFmpeg's names; and all of PCM, A-law and mu-law among it."""
OPTIONS: Final = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
"""Without these, a text file that lists other files (ffconcat, SDP) makes FFmpeg open them."""

OUT_RATE: Final = 16_000
MIN_RATE, MAX_RATE, MAX_CHANNELS = 4_000, 192_000, 8
GROUP: Final = 500_000
"""Samples that go through the resampler at a time, as in faster-whisper, so that both give the same PCM."""
STUCK: Final = 64
"""Errors of a demuxer in a row after which it will not find its way back."""
HEADERS_ONLY: Final = 4096
"""Bytes; a larger file without one sample did hold something, which we could not read."""

Send = Callable[[memoryview], None]


class Rejected(Exception):
    """This file is refused; the child goes on."""

    def __init__(self, code: ErrorCode, message: str, **details: Any) -> None:
        """Keep what the parent passes on to the caller: never a byte of the file."""
        super().__init__(message)
        self.code, self.message, self.details = code, message, details


@dataclass(slots=True)
class Tally:
    """What has come out so far. `seconds`: of sound before resampling; `samples`: after it."""

    seconds: float = 0.0
    samples: int = 0
    bad_packets: int = 0
    sample_rate: int = 0
    channels: int = 0
    out_of_memory: bool = False

    def bad(self, error: Exception) -> None:
        """Count what did not decode. FFmpeg also calls it "out of memory" when damage announces an absurd size."""
        self.bad_packets += 1
        self.out_of_memory |= isinstance(error, MemoryError)


def open_container(audio: bytes) -> Any:
    """Open the bytes as one of `FORMATS`, and as nothing else."""
    try:
        return av.open(io.BytesIO(audio), mode="r", options=dict(OPTIONS), metadata_errors="ignore")
    except av.error.ArgumentError:  # "format not on whitelist"
        raise Rejected(ErrorCode.UNSUPPORTED_MEDIA, "the bytes are in a format that is not taken") from None
    except (av.error.InvalidDataError, av.error.EOFError):
        if headers.looks_like_audio(audio):
            raise Rejected(ErrorCode.AUDIO_UNREADABLE, "the file begins like audio but is damaged beyond reading") from None
        raise Rejected(ErrorCode.UNSUPPORTED_MEDIA, "the bytes are in no audio format that is known") from None


def audio_stream(container: Any) -> Any:
    """The first audio stream, once its codec, rate and channels are known to be within bounds."""
    if not container.streams.audio:
        raise Rejected(ErrorCode.NO_AUDIO_STREAM, "the file holds no audio stream", format=short_name(container))
    stream = container.streams.audio[0]
    context = stream.codec_context
    codec = context.codec.canonical_name if context else "unknown"
    if codec not in CODECS and not codec.startswith("pcm_"):
        raise Rejected(ErrorCode.UNSUPPORTED_MEDIA, f"the audio is in codec {codec}, which is not taken", codec=codec)
    context.thread_count = 1  # sound needs no second thread, and a pool of children would start many
    if context.sample_rate:  # 0: only the first frame will tell
        check_shape(context.sample_rate, context.layout.nb_channels)
    return stream


def check_shape(rate: int, channels: int) -> None:
    """Refuse what would blow up: a 644-byte WAV at 1 Hz resamples to ten minutes."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise Rejected(ErrorCode.UNSUPPORTED_MEDIA, f"a sample rate of {rate} Hz is not within {MIN_RATE} to {MAX_RATE}", sample_rate=rate)
    if channels > MAX_CHANNELS:
        raise Rejected(ErrorCode.UNSUPPORTED_MEDIA, f"{channels} channels are more than {MAX_CHANNELS}", channels=channels)


def declared_seconds(container: Any, stream: Any) -> float | None:
    """How long the container says that this stream is; None when it does not say."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = stream.metadata.get("DURATION", "")  # Matroska's, per stream: 00:00:03.021000000
    try:
        hours, minutes, seconds = (float(part) for part in tag.split(":"))
        return hours * 3600 + minutes * 60 + seconds
    except ValueError:  # no tag, or not a time
        alone = len(container.streams) == 1  # else another stream may be the longer one
        return container.duration / av.time_base if alone and container.duration else None


def packets(container: Any, stream: Any, tally: Tally) -> Iterator[Any]:
    """All packets of one stream; where the demuxer trips over damage it is asked again, from where it stands."""
    errors = 0
    while errors < STUCK:
        try:
            for packet in container.demux(stream):
                errors = 0
                yield packet
        except av.error.FFmpegError as error:
            errors += 1
            tally.bad(error)
        else:
            return


def frames(container: Any, stream: Any, tally: Tally) -> Iterator[Any]:
    """All frames that decode; packets that do not are counted and passed over.

    A generator of frames would end at the first damaged packet and pass for the end of the file
    (faster-whisper's decode_audio does: a third of the text, and no error).
    """
    for packet in packets(container, stream, tally):
        try:
            decoded = packet.decode()
        except av.error.FFmpegError as error:
            tally.bad(error)
            continue
        yield from decoded


def groups(source: Iterator[Any], tally: Tally, max_seconds: float) -> Iterator[Any]:
    """Frames joined to about `GROUP` samples of one shape; None where a shape ends.

    `AudioFifo` does not look at the channel count: without the check here a file that goes from two channels to one
    would be read beyond its planes.
    """
    fifo, shape = av.AudioFifo(), None
    for frame in source:
        now = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate, frame.time_base)
        if now != shape:
            check_shape(frame.sample_rate, frame.layout.nb_channels)
            yield from (fifo.read(), None)
            fifo, shape = av.AudioFifo(), now
        count(frame, tally, max_seconds)
        frame.pts = None  # gaps in the timestamps are no reason to stop
        fifo.write(frame)
        if fifo.samples >= GROUP:
            yield fifo.read()
    yield from (fifo.read(), None)


def count(frame: Any, tally: Tally, max_seconds: float) -> None:
    """Add one frame up; stop the whole file as soon as it is too long, however little the container admitted."""
    tally.sample_rate = tally.sample_rate or frame.sample_rate
    tally.channels = tally.channels or frame.layout.nb_channels
    tally.seconds += frame.samples / frame.sample_rate
    if tally.seconds > max_seconds:
        raise too_long(max_seconds)


def too_long(max_seconds: float, **details: Any) -> Rejected:
    """The refusal of a file that is, or says that it is, too long."""
    return Rejected(ErrorCode.AUDIO_TOO_LONG, f"more than {max_seconds:g} seconds of audio", max_audio_seconds=max_seconds, **details)


def resampled(source: Iterator[Any]) -> Iterator[memoryview]:
    """PCM, s16le mono 16 kHz, in pieces; each shape has a resampler of its own, emptied at its end."""
    resampler = None
    for group in source:
        resampler = resampler or av.AudioResampler(format="s16", layout="mono", rate=OUT_RATE)
        for frame in resampler.resample(group):
            if frame is not None:  # what passes through unchanged gives its own end back
                yield memoryview(frame.planes[0])[: frame.samples * 2]
        resampler = None if group is None else resampler


def short_name(container: Any) -> str:
    """FFmpeg's name of the container, the first of its aliases: `mov` for all of MP4, M4A and 3GP."""
    return str(container.format.name).partition(",")[0]


def decode(audio: bytes, max_seconds: float, send: Send) -> dict[str, Any]:
    """Decode one file, handing PCM to `send` piece by piece; gives the fields of `AudioInfo`. Raises `Rejected`."""
    with open_container(audio) as container:
        stream, name, tally = audio_stream(container), short_name(container), Tally()
        declared = None if headers.duration_is_guessed(audio, name) else declared_seconds(container, stream)
        if declared and declared > 1.1 * max_seconds + 1:
            raise too_long(max_seconds, declared_seconds=round(declared, 2))
        for piece in resampled(groups(frames(container, stream, tally), tally, max_seconds)):
            tally.samples += len(piece) // 2
            send(piece)
        if not tally.samples:
            raise nothing(audio, tally, declared)
        short = is_short(tally.samples / OUT_RATE, declared)
        return info(tally, name, stream, truncated=short or tally.bad_packets > 0 or headers.is_cut(audio, name))


def nothing(audio: bytes, tally: Tally, declared: float | None) -> Rejected:
    """Why no sample came out: nothing in it, nothing left of it, or never audio at all."""
    if tally.out_of_memory:
        raise MemoryError  # perhaps this process is to blame and not the file: a fresh one will tell
    if not headers.looks_like_audio(audio):  # FFmpeg takes any long random bytes for MP3
        return Rejected(ErrorCode.UNSUPPORTED_MEDIA, "the bytes are in no audio format that is known")
    if tally.bad_packets or declared or len(audio) > HEADERS_ONLY:
        return Rejected(ErrorCode.AUDIO_UNREADABLE, "no sound could be decoded from the file", bad_packets=tally.bad_packets)
    return Rejected(ErrorCode.AUDIO_EMPTY, "the file holds not a single sample")


def is_short(seconds: float, declared: float | None) -> bool:
    """Whether clearly less came out than the container declared: an encoder's padding is not damage, a second of speech is."""
    return declared is not None and declared - seconds > min(1.0, max(0.25, 0.01 * declared))


def info(tally: Tally, name: str, stream: Any, *, truncated: bool) -> dict[str, Any]:
    """The fields of `schemas.reply.AudioInfo`."""
    return {
        "duration": tally.samples / OUT_RATE,
        "format": name,
        "codec": stream.codec_context.codec.canonical_name,
        "sample_rate": tally.sample_rate,
        "channels": tally.channels,
        "truncated": truncated,
        "bad_packets": tally.bad_packets,
    }


def answer(audio: bytes, max_seconds: float, send: Send) -> dict[str, Any]:
    """The last frame's header for one file. Only `MemoryError` gets out: after it nothing in this process is certain."""
    try:
        return {"kind": wire.DONE, "info": decode(audio, max_seconds, send)}
    except Rejected as refusal:
        return {"kind": wire.REJECTED, "code": refusal.code, "message": refusal.message, "details": refusal.details}
    except (MemoryError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 -- whatever a file makes the library raise is that file's fault; its text may quote the file
        details = {"error": type(error).__name__}
        return {"kind": wire.REJECTED, "code": ErrorCode.AUDIO_UNREADABLE, "message": "the decoder failed on this file", "details": details}


def serve(limits: DecodeLimits) -> None:
    """Answer file after file until the parent closes its end."""
    with os.fdopen(0, "rb", closefd=False) as source, os.fdopen(0, "wb", closefd=False) as sink:
        wire.write(sink, {"kind": wire.READY})
        while (frame := wire.read(source, limits.max_input_bytes)) is not None:
            last = answer(frame[1], limits.max_audio_seconds, lambda piece: wire.write(sink, {"kind": wire.PCM}, piece))
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
    gc.collect()
    gc.freeze()  # what the imports made stays; a collection after each file then costs little
    confine.confine(limits)
    hush()
    serve(limits)


def hush() -> None:
    """From here on nothing that a library prints gets anywhere; start-up errors did, on the pipe the parent reads."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 -- the smallest import that does it
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
