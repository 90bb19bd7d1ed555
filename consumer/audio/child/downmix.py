"""Many channels to one, so that none is lost.

FFmpeg's own mix is used wherever it loses nothing, so that the result equals faster-whisper's. It leaves the
low-frequency channel out, where a recorder with six microphones has its fourth; and two channels of which one is
inverted cancel each other (a cable, a phone's second microphone).
"""

import math
from collections.abc import Iterator
from functools import reduce
from itertools import combinations
from operator import add
from typing import Any, Final

import av

OUT_RATE: Final = 16_000
_LOOKS_A_SECOND: Final = 500
_BLOCK: Final = 250
"""Half a second of checks."""
_CANCELLED: Final = 0.25
"""Unrelated channels add up to 1.0 times their energy; below this they cancel."""
MIXED: Final = frozenset("FL FR FC BL BR FLC FRC BC SL SR".split())
"""What FFmpeg mixes, by its names of channels."""
UNNAMED: Final = "NONE"
LOW_OF: Final = {3: 2, 6: 3, 7: 3, 8: 3}
"""Number of channels: which of them is the low-frequency one in FFmpeg's usual layout."""
SILENCE: Final = 1e-4
"""Of full scale: the level of dither. Speech at -60 dB has ten times as much."""
_SCALES: Final = {"u8": ("B", 2**7), "s16": ("h", 2**15), "s32": ("i", 2**31), "flt": ("f", 1), "dbl": ("d", 1)}
"""By FFmpeg's names of sample formats: how Python reads one, and full scale."""

_FLOATS: Final = ("flt", "fltp", "dbl", "dblp")
ABSURD: Final = 2**20
"""Times full scale. Floats that someone forgot to scale are 2**15 times too large, and are sound."""

Looks = list[list[Any]]


def looks(frame: Any) -> tuple[Looks, float]:
    """Some samples of each channel, evenly spread, and the least level that counts as sound.

    The step is odd, so that no tone falls between the samples.
    """
    name, count = frame.format.name.removesuffix("p"), frame.layout.nb_channels
    code: Any
    code, full = _SCALES[name]
    step = max(1, frame.sample_rate // _LOOKS_A_SECOND) | 1
    if frame.format.is_planar:
        planes = frame.planes[:count]  # of eight, PyAV counts nine
        found: Looks = [memoryview(plane).cast("B").cast(code)[: frame.samples : step].tolist() for plane in planes]
    else:
        packed = memoryview(frame.planes[0]).cast("B").cast(code)[: frame.samples * count]
        found = [packed[channel :: step * count].tolist() for channel in range(count)]
    if name == "u8":  # the one format whose silence is not zero
        found = [[sample - full for sample in channel] for channel in found]
    return found, SILENCE * full


def is_heard(frame: Any, times: float = 1.0) -> bool:
    """Whether any channel is so many times louder than silence."""
    channels, least = looks(frame)
    return any(_is_sound(channel, times * least) for channel in channels)


def _is_sound(channel: list[float], least: float) -> bool:
    return math.hypot(*channel) > least * math.sqrt(len(channel))


def is_broken(frame: Any) -> bool:
    """Whether a channel of floats holds what is no sound: no number, or an absurd one.

    In a mix it would cover the other channels.
    """
    return frame.format.name in _FLOATS and any(
        not abs(sample) < ABSURD for channel in looks(frame)[0] for sample in channel
    )


def loses(frame: Any) -> bool:
    """Whether FFmpeg's mix would lose what is in a frame's channels, for half a second or more."""
    if frame.layout.nb_channels == 1:
        return False
    channels, least = looks(frame)
    if any(_is_sound(channels[at], least) for at in _left_out(frame.layout)):
        return True
    starts = range(0, len(channels[0]), _BLOCK)
    return any(_cancel([channel[at : at + _BLOCK] for channel in channels], least) for at in starts)


def _left_out(layout: Any) -> list[int]:
    """The channels that FFmpeg leaves out of its mix.

    Channels without names get those of the usual layout of their number.
    """
    names = [channel.name for channel in layout.channels]
    if UNNAMED in names:
        return [at for at in (LOW_OF.get(len(names)),) if at is not None]
    return [at for at, name in enumerate(names) if name not in MIXED]


def _cancel(blocks: Looks, least: float) -> bool:
    """Whether all of them cancel, or two of them, whose sound would be lost behind that of the others."""
    powers = [math.hypot(*block) ** 2 for block in blocks]
    for group in {tuple(range(len(blocks))), *combinations(range(len(blocks)), 2)}:
        alone = sum(powers[at] for at in group)
        if alone > least**2 * _BLOCK:
            mixed = reduce(lambda one, other: list(map(add, one, other)), (blocks[at] for at in group))
            if math.hypot(*mixed) ** 2 < _CANCELLED * alone:
                return True
    return False


class Mixer:
    """Mixes frames of one shape to mono at 16 kHz on one thread.

    PyAV's own resampler starts a thread for each core, for every file.
    """

    def __init__(self, like: Any, *, apart: bool, broken: bool) -> None:
        """Take `like`, a frame of the shape that all frames will have.

        `apart`: turn channels against each other so that none cancels. `broken`: replace by silence what is no sound.
        """
        self._ready = (like.format.name, like.layout.name, like.sample_rate) == ("s16", "mono", OUT_RATE)
        self._graph = None if self._ready else _graph(like, apart=apart, broken=broken)

    def mix(self, frame: Any) -> Iterator[Any]:
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


def _graph(like: Any, *, apart: bool, broken: bool) -> Any:
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
    if broken:
        numbers = graph.add("aeval", exprs=f"if(lt(abs(val(ch)),{ABSURD}),val(ch),0)", channel_layout="same")
        source.link_to(numbers)
        source = graph.add("aformat", channel_layouts=like.layout.name)  # else the mix would move before `numbers`
        numbers.link_to(source)
    mixed = _turned(graph, source, like) if apart else source
    mixed.link_to(wanted)
    wanted.link_to(graph.add("abuffersink"))
    graph.configure()
    return graph


def _turned(graph: Any, source: Any, like: Any) -> Any:
    """Each channel with its phase turned by another angle of less than a half turn: no two of them can cancel."""
    count = like.layout.nb_channels
    each = graph.add("asplit", str(count))
    source.link_to(each)
    mixed = graph.add("amix", inputs=str(count), normalize="0")
    for at in range(count):
        alone = graph.add("pan", f"mono|c0={1 / count}*c{at}")
        turned = graph.add("aphaseshift", shift=str(at / count))
        each.link_to(alone, at, 0)
        alone.link_to(turned)
        turned.link_to(mixed, 0, at)
    return mixed
