"""From packets to PCM: frame by frame past damage, counted against the limits while it goes, resampled to 16 kHz mono.

Imports av and its siblings; runs in the decoder child only. Keeps no more than half a million samples at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av

from sttd.consumer.audio.child.media import MAX_DENSITY, check_shape
from sttd.consumer.audio.child.refusal import Longer, Rejected, too_long
from sttd.schemas.codes import ErrorCode

OUT_RATE: Final = 16_000
GROUP: Final = 500_000
"""Samples that go through the resampler at a time, as in faster-whisper, so that both give the same PCM."""
STUCK: Final = 64
"""Errors of a demuxer in a row after which it will not find its way back."""
HOPELESS: Final = 2_000
"""Bad packets after which most of them must have been good ones: twenty million of one byte each would take minutes to fail."""


@dataclass(slots=True)
class Tally:
    """What has come out so far. `seconds`: of sound before resampling; `values`: samples of all channels; `samples`: after resampling."""

    max_seconds: float
    room_seconds: float
    seconds: float = 0.0
    values: int = 0
    samples: int = 0
    frames: int = 0
    bad_packets: int = 0
    sample_rate: int = 0
    channels: int = 0
    out_of_memory: bool = False

    def bad(self, error: Exception) -> None:
        """Count what did not decode. FFmpeg also calls it "out of memory" when damage announces an absurd size."""
        self.bad_packets += 1
        self.out_of_memory |= isinstance(error, MemoryError)
        if self.bad_packets > HOPELESS and self.bad_packets > self.frames:
            raise Rejected(
                ErrorCode.AUDIO_UNREADABLE, "hardly anything of the file could be decoded", bad_packets=self.bad_packets
            )

    def count(self, samples: int, rate: int, channels: int) -> None:
        """Add one frame up; stop the whole file as soon as it is too long, however little the container admitted."""
        self.frames += 1
        self.seconds += samples / rate
        self.values += samples * channels
        if self.seconds > self.max_seconds or self.values > self.max_seconds * MAX_DENSITY:
            raise too_long(self.max_seconds)
        if self.seconds > self.room_seconds:
            raise Longer(self.seconds)


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


def groups(source: Iterator[Any], tally: Tally) -> Iterator[Any]:
    """Frames joined to about `GROUP` samples of one shape; None where a shape ends.

    `AudioFifo` looks at format and time base but not at the channel count: without the check here a file that goes from two
    channels to one would be read beyond its planes. Each question to a frame costs a microsecond, so few are asked.
    """
    fifo, shape = av.AudioFifo(), (0, 0)
    for frame in source:
        now = rate, channels = frame.sample_rate, frame.layout.nb_channels
        changes = now != shape
        if changes:
            check_shape(rate, channels)
            tally.sample_rate, tally.channels = (tally.sample_rate or rate), (tally.channels or channels)
        tally.count(frame.samples, rate, channels)
        frame.pts = None  # gaps in the timestamps are no reason to stop
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


def resampled(source: Iterator[Any]) -> Iterator[memoryview]:
    """PCM, s16le mono 16 kHz, in pieces; each shape has a resampler of its own, emptied at its end."""
    resampler = None
    for group in source:
        if resampler is None and group is not None:
            resampler = Resampler(group)
        for frame in resampler.resample(group) if resampler else ():
            yield memoryview(frame.planes[0])[: frame.samples * 2]
        resampler = None if group is None else resampler


class Resampler:
    """`av.AudioResampler` as faster-whisper uses it, but on one thread: PyAV's own starts one for each core, for every file."""

    def __init__(self, like: Any) -> None:
        """`like`: a frame of the shape that all frames will have."""
        self._ready = (like.format.name, like.layout.name, like.sample_rate) == ("s16", "mono", OUT_RATE)
        self._graph = None if self._ready else _graph(like)

    def resample(self, frame: Any) -> Iterator[Any]:
        """What comes out for one frame; None empties it."""
        if self._graph is None:
            yield from () if frame is None else (frame,)
            return
        self._graph.push(frame)
        while True:
            try:
                yield self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def _graph(like: Any) -> Any:
    graph = av.filter.Graph()
    graph.threads = 1
    base = {} if like.time_base is None else {"time_base": str(like.time_base)}
    source = graph.add(
        "abuffer",
        sample_rate=str(like.sample_rate),
        sample_fmt=like.format.name,
        channel_layout=like.layout.name,
        **base,
    )
    wanted = graph.add("aformat", sample_rates=str(OUT_RATE), sample_fmts="s16", channel_layouts="mono")
    graph.link_nodes(source, wanted, graph.add("abuffersink")).configure()
    return graph
