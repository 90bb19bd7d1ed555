"""From packets to PCM: frame by frame past damage, counted against the limits, mixed to 16 kHz mono.

Keeps no more than half a million samples at a time.
"""

from collections.abc import Iterator
from typing import Any, Final

import av

from sttd.consumer.audio.child.downmix import OUT_RATE, Mixer, is_broken, loses
from sttd.consumer.audio.child.media import check_shape
from sttd.consumer.audio.child.packet_times import SoundTimeline
from sttd.consumer.audio.child.tally import Tally

GROUP: Final = 500_000
"""Samples that go through the mixer at a time, as in faster-whisper, so that both give the same PCM."""
STUCK: Final = 64
"""After so many demuxer errors in a row it will not recover."""

Group = Any
"""A frame of about `GROUP` samples; None where a shape ends; a float, seconds of silence that belong there."""


def packets(container: Any, stream: Any, tally: Tally) -> Iterator[Any]:
    """All packets of one stream; after a demuxer error at damage it is asked again, from where it stands."""
    errors = 0
    while errors < STUCK:
        try:
            for packet in container.demux(stream):
                errors = 0
                if packet.size:  # the last one has none: it empties the decoder
                    tally.packets += 1
                    tally.before, tally.last = tally.last, packet.duration or 0
                yield packet
        except av.error.FFmpegError as error:
            errors += 1
            tally.bad(error)
        else:
            return


def frames(container: Any, stream: Any, tally: Tally) -> Iterator[Any]:
    """All frames that decode; packets that do not are counted and passed over, but for tags and text.

    A generator of frames would end at the first damaged packet, and that would look like the end of the file
    (faster-whisper's decode_audio does so: a third of the text, and no error).
    """
    for packet in packets(container, stream, tally):
        try:
            decoded = packet.decode()
        except av.error.FFmpegError as error:
            tally.bad(error, bytes(packet))
            continue
        yield from decoded


def groups(source: Iterator[Any], tally: Tally, axis: SoundTimeline) -> Iterator[Group]:
    """Frames joined to about `GROUP` samples of one shape, with the holes between them.

    `AudioFifo` checks format and time base but not at the channel count: without the check here a file that goes from
    two channels to one would be read beyond its planes. Each question to a frame costs a microsecond, so few are asked.
    """
    fifo, shape, began = av.AudioFifo(), (0, 0), tally.seconds
    for frame in source:
        now = rate, channels = frame.sample_rate, frame.layout.nb_channels
        changes = now != shape
        if changes:
            check_shape(rate, channels)
            tally.sample_rate, tally.channels = (tally.sample_rate or rate), (tally.channels or channels)
        if hole := axis.hole_before(frame.pts, frame.samples / rate, tally.seconds - began):
            yield from (fifo.read(), None, hole)
            fifo = av.AudioFifo()
            tally.wait(hole)
        tally.count(frame.samples, rate, channels)
        frame.pts = None  # its samples are consumed
        if changes or not _fits(fifo, frame):
            yield from (fifo.read(), None)
            fifo, shape = av.AudioFifo(), now
            fifo.write(frame)
        if fifo.samples >= GROUP:
            yield fifo.read()
    yield from (fifo.read(), None)


def _fits(fifo: Any, frame: Any) -> bool:
    """Add a frame to what is collected, unless its format or time base is another."""
    try:
        fifo.write(frame)
    except ValueError:
        return False
    return True


def mixed(source: Iterator[Group]) -> Iterator[memoryview]:
    """PCM, s16le mono 16 kHz, in pieces; each shape has a mixer of its own, emptied at its end."""
    mixer, apart, broken = None, False, False
    for group in source:
        if isinstance(group, float):
            yield from silence(group)
            continue
        if group is not None and (needs := (apart or loses(group), broken or is_broken(group))) != (apart, broken):
            yield from _pieces(mixer, None)
            mixer, (apart, broken) = None, needs
        if mixer is None and group is not None:
            mixer = Mixer(group, apart=apart and group.layout.nb_channels > 1, broken=broken)
        yield from _pieces(mixer, group)
        mixer = None if group is None else mixer


def _pieces(mixer: Mixer | None, group: Any) -> Iterator[memoryview]:
    for frame in mixer.mix(group) if mixer else ():
        yield memoryview(frame.planes[0])[: frame.samples * 2]


def silence(seconds: float) -> Iterator[memoryview]:
    """Silence in pieces of ten seconds."""
    left, zeros = round(seconds * OUT_RATE), memoryview(bytes(20 * OUT_RATE))
    while left > 0:
        yield zeros[: 2 * left]
        left -= len(zeros) // 2
