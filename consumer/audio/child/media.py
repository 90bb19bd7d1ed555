"""A stranger's bytes as FFmpeg sees them: opened under whitelists, one stream chosen, its packets counted, never decoded here.

Imports av, schemas.codes and sttd.consumer.audio's pure files; runs in the decoder child only, opens nothing but the bytes.
"""

from __future__ import annotations

import io
from typing import Any, Final

import av

from sttd.consumer.audio import headers
from sttd.consumer.audio.child.refusal import Rejected, too_long
from sttd.schemas.codes import ErrorCode

FORMATS: Final = "wav,flac,ogg,mp3,matroska,webm,mov,mp4,m4a,3gp,aac,amr,aiff,caf,w64"
CODECS: Final = frozenset(
    "aac alac amr_nb amr_wb flac mp2 mp3 opus speex vorbis adpcm_ima_qt adpcm_ima_wav adpcm_ms".split()
)
"""By FFmpeg's names of codecs; and all of `PCM` among it."""
PCM: Final = frozenset(
    "pcm_alaw pcm_mulaw pcm_s8 pcm_u8 pcm_f32be pcm_f32le pcm_f64be pcm_f64le".split()
    + [f"pcm_{sign}{bits}{order}" for sign in "su" for bits in (16, 24, 32) for order in ("be", "le")]
)
DECODERS: Final = ",".join(sorted((CODECS | PCM | {"amrnb", "amrwb", "mp2float", "mp3float"}) - {"amr_nb", "amr_wb"}))
"""By FFmpeg's names of decoders: what it may open on its own account while it looks at the streams of a file."""
OPTIONS: Final = {"format_whitelist": FORMATS, "codec_whitelist": DECODERS, "protocol_whitelist": "none"}
"""Without these, a text file that lists other files (ffconcat, SDP) makes FFmpeg open them, and a video its video decoder."""

MIN_RATE, MAX_RATE, MAX_CHANNELS = 4_000, 192_000, 8
MAX_DENSITY: Final = 192_000
"""Samples of all channels for each second of the longest file that is taken: an hour may be stereo at 96 kHz, not 7.1 at 192 kHz."""


def open_container(audio: bytes) -> Any:
    """Open the bytes as one of `FORMATS`, and as nothing else."""
    try:
        return av.open(io.BytesIO(audio), mode="r", options=dict(OPTIONS), metadata_errors="ignore")
    except av.error.ArgumentError:  # "format not on whitelist"
        raise Rejected(ErrorCode.UNSUPPORTED_MEDIA, "the bytes are in a format that is not taken") from None
    except (av.error.InvalidDataError, av.error.EOFError):
        if headers.looks_like_audio(audio):
            raise Rejected(
                ErrorCode.AUDIO_UNREADABLE, "the file begins like audio but is damaged beyond reading"
            ) from None
        raise Rejected(ErrorCode.UNSUPPORTED_MEDIA, "the bytes are in no audio format that is known") from None


def audio_stream(container: Any) -> Any:
    """The first audio stream, once its codec, rate and channels are known to be within bounds."""
    if not container.streams.audio:
        raise Rejected(ErrorCode.NO_AUDIO_STREAM, "the file holds no audio stream", format=short_name(container))
    stream = container.streams.audio[0]
    context = stream.codec_context
    codec = context.codec.canonical_name if context else "unknown"
    if codec not in CODECS | PCM:
        raise Rejected(ErrorCode.UNSUPPORTED_MEDIA, f"the audio is in codec {codec}, which is not taken", codec=codec)
    context.thread_count = 1  # sound needs no second thread, and the child may start none
    if context.sample_rate:  # 0: only the first frame will tell
        check_shape(context.sample_rate, context.layout.nb_channels)
    return stream


def check_shape(rate: int, channels: int) -> None:
    """Refuse what would blow up: a 644-byte WAV at 1 Hz resamples to ten minutes."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise Rejected(
            ErrorCode.UNSUPPORTED_MEDIA,
            f"a sample rate of {rate} Hz is not within {MIN_RATE} to {MAX_RATE}",
            sample_rate=rate,
        )
    if channels > MAX_CHANNELS:
        raise Rejected(
            ErrorCode.UNSUPPORTED_MEDIA, f"{channels} channels are more than {MAX_CHANNELS}", channels=channels
        )


def declared_seconds(audio: bytes, container: Any, stream: Any) -> float | None:
    """How long the container says that this stream is; None when it does not say, or FFmpeg guesses."""
    if headers.duration_is_guessed(audio, short_name(container)):
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = stream.metadata.get("DURATION", "")  # Matroska's, per stream: 00:00:03.021000000
    try:
        hours, minutes, seconds = (float(part) for part in tag.split(":"))
        return hours * 3600 + minutes * 60 + seconds
    except ValueError:  # no tag, or not a time
        alone = len(container.streams) == 1  # else another stream may be the longer one
        return container.duration / av.time_base if alone and container.duration else None


def density(stream: Any) -> float:
    """How many times more samples a second of this stream has than the longest file may have on average; at least 1."""
    context = stream.codec_context
    return float(max(1.0, context.sample_rate * context.layout.nb_channels / MAX_DENSITY))


def surveyed_seconds(audio: bytes, max_seconds: float) -> float:
    """How much sound the packets of a file announce, counted without decoding any; stops when it is too much, by raising.

    A header may lie about an hour; thousands of packets of the codec itself hardly can.
    """
    with open_container(audio) as container:
        stream = audio_stream(container)
        tick = float(stream.time_base or 0)
        ticks, limit = 0, max_seconds / density(stream) / (tick or 1.0)
        try:
            for packet in container.demux(stream):
                ticks = ticks + packet.duration if packet.duration else max(ticks, packet.pts or 0)
                if ticks > limit:
                    raise too_long(max_seconds)
        except av.error.FFmpegError:
            pass  # the survey ends where the damage begins; decoding will go past it, within its own bounds
        return ticks * tick


def short_name(container: Any) -> str:
    """FFmpeg's name of the container, the first of its aliases: `mov` for all of MP4, M4A and 3GP."""
    return str(container.format.name).partition(",")[0]
