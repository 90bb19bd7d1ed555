"""Untrusted bytes through FFmpeg: opened under whitelists, tracks examined, packets counted, never decoded here.

Opens nothing but the bytes.
"""

import io
import math
from dataclasses import dataclass
from typing import Any, Final

import av

from sttd.consumer.audio import headers
from sttd.consumer.audio.child.refusal import Rejected, too_long
from sttd.consumer.audio.structure import tail
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
"""By FFmpeg's names of decoders: what it may open by itself while it examines the streams of a file."""
OPTIONS: Final = {"format_whitelist": FORMATS, "codec_whitelist": DECODERS, "protocol_whitelist": "none"}
"""Without these, a text file that lists other files (ffconcat, SDP) makes FFmpeg open them, and a video makes it open
its video decoder."""

MIN_RATE, MAX_RATE, MAX_CHANNELS = 4_000, 192_000, 8
MAX_DENSITY: Final = 192_000
"""Samples of all channels for each second of the longest file that is taken: an hour may be stereo at 96 kHz, not 7.1
at 192 kHz."""

_TEXT: Final = "the bytes are text (an error's page, JSON, base64, a path?), no audio file: send the file's own bytes"
_LATER_PIECE: Final = "a later piece of a recording, without the beginning that only the first has: join the pieces"
_PACKED: Final = "the bytes are compressed or an archive, and nothing is ever unpacked: send the file's own bytes"
_DAMAGED: Final = "the file begins like audio but is damaged beyond reading"

CLOCKED: Final = frozenset({"mov", "matroska", "ogg", "amr"})
"""Containers whose packets have times of their own; in AMR each of them is 20 ms."""
CLOCK_SLACK: Final = 0.5
HOLE_SECONDS: Final = 0.1
"""The jitter of recorders' clocks is below this."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the packets of a track announce, in seconds.

    `sound`: in all; `end`: where on the file's own clock the last packet ends.
    """

    sound: float
    end: float


def open_container(audio: bytes) -> Any:
    """Open the bytes as one of `FORMATS`, and as nothing else."""
    try:
        return av.open(io.BytesIO(audio), mode="r", options=dict(OPTIONS), metadata_errors="ignore")
    except av.error.ArgumentError:  # "format not on whitelist"
        raise no_audio(audio, "the bytes are in a format that is not taken") from None
    except (av.error.InvalidDataError, av.error.EOFError):
        if headers.looks_like_audio(audio):
            told = _LATER_PIECE if headers.is_later_piece(audio) else _DAMAGED
            raise Rejected(ErrorCode.AUDIO_UNREADABLE, told) from None
        raise no_audio(audio) from None


def no_audio(audio: bytes, told: str = "the bytes are in no audio format that is known") -> Rejected:
    """The refusal of bytes in no format that is taken.

    Some mistakes are the sender's and never the speaker's: the page of an error in place of a download, base64, a path,
    a recorder's pieces sent one by one, kombu's `compression`.
    """
    if tail.is_text(audio):
        told = _TEXT
    elif headers.is_later_piece(audio):
        told = _LATER_PIECE
    elif headers.is_packed(audio):
        told = _PACKED
    return Rejected(ErrorCode.UNSUPPORTED_MEDIA, told)


def tracks(container: Any) -> list[Any]:
    """The audio streams whose codec, rate and channels are within bounds.

    Where there is none, raises what is wrong with the first one.
    """
    if not container.streams.audio:
        raise Rejected(ErrorCode.NO_AUDIO_STREAM, "the file holds no audio stream", format=short_name(container))
    taken, refusals = [], []
    for stream in container.streams.audio:
        try:
            _check(stream, short_name(container))
        except Rejected as refusal:
            refusals.append(refusal)
        else:
            taken.append(stream)
    if not taken:
        raise refusals[0]
    return taken


def _check(stream: Any, container: str) -> None:
    context = stream.codec_context
    codec = context.codec.canonical_name if context else "unknown"
    if codec not in CODECS | PCM:
        raise Rejected(ErrorCode.UNSUPPORTED_MEDIA, f"the audio is in codec {codec}, which is not taken", codec=codec)
    if (container, codec) == ("caf", "alac"):
        context.options = {"flags2": "+skip_manual"}  # FFmpeg 8 takes the padding off a last packet that never had any
    context.thread_count = 1  # sound needs no second thread, and the child may start none
    if context.sample_rate:  # 0: known only after the first frame
        check_shape(context.sample_rate, context.layout.nb_channels)


def check_shape(rate: int, channels: int) -> None:
    """Refuse extreme rates: a 644-byte WAV at 1 Hz resamples to ten minutes."""
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


def told_end(audio: bytes, container: Any, stream: Any) -> float | None:
    """Where on the file's own clock this track ends, by the container.

    None when the container has no such value, or FFmpeg guesses it.
    """
    name = short_name(container)
    if headers.duration_is_guessed(audio, name):
        return None
    if stream.duration and stream.time_base and name != "matroska":  # there it is the whole file's, pictures and all
        begins = stream.start_time or 0 if name == "mov" else 0
        return float((begins + stream.duration) * stream.time_base)
    tag = stream.metadata.get("DURATION", "")  # Matroska's, per stream: 00:00:03.021000000
    try:
        hours, minutes, seconds = (float(part) for part in tag.split(":"))
        return hours * 3600 + minutes * 60 + seconds
    except ValueError:  # no tag, or not a time
        alone = len(container.streams) == 1  # else another stream may be the longer one
        return container.duration / av.time_base if alone and container.duration else None


def origin(audio: bytes, container: Any, stream: Any, ends: float | None) -> float:
    """Where on the file's own clock, in seconds, its sound begins to count.

    That is zero, or where a recording from a stream was begun. `ends`: the track's end by the container. A silence
    before the first packet is one where an edit list says so, another track begins earlier, or the length counts it in.
    """
    begins = float((stream.start_time or 0) * (stream.time_base or 0))
    if begins < HOLE_SECONDS:
        return 0.0
    name, alone = short_name(container), len(container.streams) == 1
    if name == "mov" and b"moof" not in audio:
        return 0.0
    if (
        name == "matroska"
        and alone
        and ends is not None
        and survey(audio, stream.index, math.inf).end < ends + CLOCK_SLACK
    ):
        return 0.0
    return begins if container.start_time is None else min(begins, container.start_time / av.time_base)


def clock(container: Any, stream: Any) -> float:
    """Seconds of one step of the file's clock.

    0 where FFmpeg only counts up what it reads: damage would look like holes.
    """
    return float(stream.time_base or 0) if short_name(container) in CLOCKED else 0.0


def density(stream: Any) -> float:
    """How many times more samples a second of this stream has than the longest file may have on average; at least 1."""
    context = stream.codec_context
    return float(max(1.0, context.sample_rate * context.layout.nb_channels / MAX_DENSITY))


def survey(audio: bytes, index: int, max_seconds: float) -> Survey:
    """How much sound the packets of a track announce, in seconds, counted without decoding.

    `index`: of the stream in its container; `max_seconds`: of sound. Raises as soon as it is more. Packets
    are counted because a header alone may claim any length.
    """
    with open_container(audio) as container:
        stream = container.streams[index]
        tick = float(stream.time_base or 0)
        sound, end, limit = 0, 0, max_seconds / density(stream) / (tick or 1.0)
        try:
            for packet in container.demux(stream):
                if packet.pts is not None:
                    sound += packet.duration or max(0, packet.pts - end)
                    end = max(end, packet.pts + (packet.duration or 0))
                if sound > limit:
                    raise too_long(max_seconds)
        except av.error.FFmpegError:
            pass  # the survey ends where the damage begins; decoding will go past it, within its own bounds
        return Survey(sound * tick, end * tick)


def short_name(container: Any) -> str:
    """FFmpeg's name of the container, the first of its aliases: `mov` for all of MP4, M4A and 3GP."""
    return str(container.format.name).partition(",")[0]
