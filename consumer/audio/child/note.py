"""One file among the bytes: its track chosen, its sound decoded, the container's figures compared with the result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sttd.consumer.audio import headers
from sttd.consumer.audio.child import media, sound
from sttd.consumer.audio.child.downmix import OUT_RATE, is_heard
from sttd.consumer.audio.child.packet_times import SoundTimeline
from sttd.consumer.audio.child.refusal import Longer, Rejected
from sttd.consumer.audio.child.tally import Tally
from sttd.consumer.audio.structure.part import Length, Part
from sttd.schemas.codes import ErrorCode

HEADERS_ONLY: Final = 4096
"""Bytes; a larger file without one sample did hold something that could not be read."""
EXACT_SLACK: Final = 0.05
"""Seconds that FLAC, which counts samples, may lack."""
PACKET_SLACK: Final = 0.4
"""Seconds that a container which counts packets may lack: its encoder's padding at both ends, at 8 kHz."""
NOISE: Final = 10.0
"""Times silence, so -60 dB: a track below it is taken only where no other is louder."""

Send = Callable[[memoryview], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """The result for one file.

    `declared`: its length in seconds by its own header; `track`: which of its `tracks`, from 1 on.
    """

    container: str
    codec: str
    track: int
    tracks: int
    declared: float | None
    lacks: bool


@dataclass(frozen=True, slots=True)
class _Axis:
    """How long a track is, in seconds: by its container (`declared`), and the best estimate (`needed`).

    `closed`: holes that are left out of its `timeline`.
    """

    declared: float | None
    needed: float | None
    closed: float
    timeline: SoundTimeline


def decode(audio: bytes, part: Part, tally: Tally, send: Send) -> Heard:
    """Decode one file, handing PCM (s16le, mono, 16 kHz) to `send`.

    `audio`: its bytes; `part`: what its structure proves; `tally`: the counts so far, of all files among the bytes.
    Raises `Rejected`, also where there is no sound in it, and `Longer`.
    """
    with media.open_container(audio) as container:
        stream = _chosen(audio, media.tracks(container), tally.max_seconds)
        axis = _axis(audio, part.length, container, stream, tally.max_seconds)
        if axis.needed is not None and tally.seconds + axis.needed > tally.room_seconds:
            raise Longer(tally.seconds + axis.needed)
        before, packets = tally.samples, tally.packets
        for piece in sound.mixed(sound.groups(sound.frames(container, stream, tally), tally, axis.timeline)):
            tally.samples += len(piece) // 2
            send(piece)
        if tally.samples == before:
            raise _nothing(audio, tally, axis.declared)
        name, tracks = media.short_name(container), container.streams.audio
        came = (tally.samples - before) / OUT_RATE + axis.closed
        # A recorder that was paused at the end gives the pause to its last packet.
        came += max(0.0, float((tally.last - tally.before) * (stream.time_base or 0))) if name == "mov" else 0.0
        unread = len(container.streams) == 1 and tally.packets - packets < part.blocks
        return Heard(
            container=name,
            codec=stream.codec_context.codec.canonical_name,
            track=1 + [track.index for track in tracks].index(stream.index),
            tracks=len(tracks),
            declared=axis.declared,
            lacks=unread or _lacks(part.length, name, axis.declared, came),
        )


def _chosen(audio: bytes, streams: Sequence[Any], max_seconds: float) -> Any:
    """The first track that is louder than a microphone's noise, or else than silence; where none is, the first."""
    if len(streams) > 1:
        for times in (NOISE, 1.0):
            for stream in streams:
                if _holds_sound(audio, stream.index, max_seconds, times):
                    return stream
    return streams[0]


def _holds_sound(audio: bytes, index: int, max_seconds: float, times: float) -> bool:
    """Whether a track is so many times louder than silence; it is decoded up to the first sound that is."""
    with media.open_container(audio) as container:
        (stream,) = (stream for stream in media.tracks(container) if stream.index == index)
        tally = Tally(max_seconds, max_seconds)
        try:
            for frame in sound.frames(container, stream, tally):
                media.check_shape(frame.sample_rate, frame.layout.nb_channels)
                tally.count(frame.samples, frame.sample_rate, frame.layout.nb_channels)
                if is_heard(frame, times):
                    return True
        except Rejected:  # hopeless, or too long: another track may be neither
            return False
    return False


def _axis(audio: bytes, length: Length, container: Any, stream: Any, max_seconds: float) -> _Axis:
    """Measure the time axis. Packets are counted where the container gives no length, or too large a one."""
    tick = media.clock(container, stream)
    ends = None if length is Length.UNTOLD else media.told_end(audio, container, stream)
    origin = media.origin(audio, container, stream, ends) if tick else 0.0
    declared = None if ends is None else max(0.0, ends - origin)
    needed, closed = declared, 0.0
    if (declared is None and tick) or (declared or 0.0) * media.density(stream) > max_seconds:
        counted = media.survey(audio, stream.index, max_seconds)
        needed = counted.end - origin if tick else counted.sound
        if needed > max_seconds:  # because of its holes: a clock that jumped
            tick, needed, closed = 0.0, counted.sound, needed - counted.sound
    return _Axis(declared, needed, closed, SoundTimeline(tick, origin))


def announced_seconds(audio: bytes, parts: Sequence[Part], max_seconds: float) -> float:
    """How much sound all files among the bytes announce, in seconds, counted without decoding.

    `parts`: the files; `max_seconds`: of sound, in all. Raises as soon as it is more.
    """
    seconds = 0.0
    for part in parts:
        own = part.of(audio)
        try:
            with media.open_container(own) as container:
                stream = _chosen(own, media.tracks(container), max_seconds)
                axis = _axis(own, part.length, container, stream, max_seconds)
                seconds += max(axis.needed or 0.0, media.survey(own, stream.index, max_seconds).sound)
        except Rejected as refusal:
            if refusal.code == ErrorCode.AUDIO_TOO_LONG:
                raise
    return seconds


def _nothing(audio: bytes, tally: Tally, declared: float | None) -> Rejected:
    """Why no sample came out: an empty file, all of it damaged, or no audio at all."""
    if tally.out_of_memory:
        raise MemoryError  # perhaps this process is at fault and not the file: a fresh one will show it
    if not headers.looks_like_audio(audio):  # FFmpeg takes any long random bytes for MP3
        return media.no_audio(audio)
    if tally.bad_packets or declared or len(audio) > HEADERS_ONLY:
        return Rejected(
            ErrorCode.AUDIO_UNREADABLE, "no sound could be decoded from the file", bad_packets=tally.bad_packets
        )
    return Rejected(ErrorCode.AUDIO_EMPTY, "the file holds not a single sample")


def _lacks(length: Length, container: str, declared: float | None, came: float) -> bool:
    """Whether sound is missing that the file had: by its structure, or else by its length."""
    if length is Length.CUT or (container == "ogg" and length is not Length.WHOLE):
        return True
    if length is Length.WHOLE or declared is None:
        return length is Length.EARLY
    return declared - came > (EXACT_SLACK if container == "flac" else PACKET_SLACK)


def info(heard: Sequence[Heard], tally: Tally, *, lost: bool) -> dict[str, Any]:
    """The fields of `sttd.schemas.reply.AudioInfo`, over all files that were decoded.

    `heard`: at least one, of which the first gives container and codec; `lost`: some sound was not decoded.
    """
    first, declared = heard[0], [one.declared for one in heard if one.declared is not None]
    return {
        "duration": tally.samples / OUT_RATE,
        "declared_duration": round(sum(declared), 3) if len(declared) == len(heard) else None,
        "format": first.container,
        "codec": first.codec,
        "sample_rate": tally.sample_rate,
        "channels": tally.channels,
        "truncated": lost or tally.bad_packets > 0 or any(one.lacks for one in heard),
        "bad_packets": tally.bad_packets,
        "track": first.track,
        "tracks": first.tracks,
        "gaps": round(tally.silence, 3),
    }
