"""Files with known content: containers x lengths x channels x tracks x holes x headers x trailing data.

Pure: the same seed gives the same file for ever.
"""

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import av
import numpy as np

from tests.support.tracks import HEADERS as UNFINISHED
from tests.support.tracks import PERIOD, Piece, Samples, Span, Track, bursts, muxed, signal, unfinished, without_codec
from tools.audio import containers as c

CLOCK: Final = frozenset({"hole", "late"})
TRACKS: Final = frozenset({"tracks", "video"})
HEADER: Final = frozenset({"header"})
FRAGMENTS: Final = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"}
MONO_STEREO: Final = ("mono", "stereo")


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to keep sound: FFmpeg's names of container and encoder.

    `holds`: what it can have besides one whole track.
    """

    container: str
    encoder: str
    rates: tuple[int, ...]
    layouts: tuple[str, ...] = MONO_STEREO
    holds: frozenset[str] = frozenset()
    frame: int = 1024
    tells_length: bool = True
    options: tuple[tuple[str, str], ...] = ()


KINDS: Final[dict[str, Kind]] = {
    "wav": Kind("wav", "pcm_s16le", (8_000, 16_000, 44_100), (*MONO_STEREO, "quad", "5.1", "7.1"), HEADER),
    "wav-f32": Kind("wav", "pcm_f32le", (48_000,), (*MONO_STEREO, "5.1"), HEADER),
    "wav-u8": Kind("wav", "pcm_u8", (11_025,), holds=HEADER),
    "wav-alaw": Kind("wav", "pcm_alaw", (8_000,), holds=HEADER),
    "wav-adpcm": Kind("wav", "adpcm_ms", (22_050,), holds=HEADER),
    "w64": Kind("w64", "pcm_s24le", (44_100,), holds=HEADER),
    "aiff": Kind("aiff", "pcm_s16be", (22_050, 44_100), holds=HEADER),
    "caf": Kind("caf", "pcm_s16le", (44_100,), holds=HEADER),
    "caf-alac": Kind("caf", "alac", (44_100, 16_000)),
    "flac": Kind("flac", "flac", (16_000, 44_100), (*MONO_STEREO, "5.1")),
    "mp3": Kind("mp3", "libmp3lame", (16_000, 44_100)),
    "mp3-headless": Kind("mp3", "libmp3lame", (22_050,), tells_length=False, options=(("write_xing", "0"),)),
    "ogg-opus": Kind(
        "ogg", "libopus", (48_000,), holds=frozenset({"hole"}), frame=960, options=(("page_duration", "20000"),)
    ),
    "webm-opus": Kind("webm", "libopus", (48_000,), holds=CLOCK, frame=960),
    "webm-live": Kind("webm", "libopus", (48_000,), MONO_STEREO, frozenset({"hole"}), 960, False, (("live", "1"),)),
    "mkv-aac": Kind("matroska", "aac", (44_100, 16_000), holds=CLOCK | TRACKS),
    "mkv-mp3": Kind("matroska", "libmp3lame", (44_100,), holds=CLOCK | TRACKS, frame=1152),
    "mkv-pcm": Kind("matroska", "pcm_s16le", (16_000,), (*MONO_STEREO, "5.1"), CLOCK | TRACKS),
    "m4a-aac": Kind("mp4", "aac", (44_100, 16_000, 8_000), holds=CLOCK | TRACKS),
    "mp4-fragments": Kind(
        "mp4", "aac", (44_100,), holds=frozenset({"hole"}), tells_length=False, options=tuple(FRAGMENTS.items())
    ),
    "mov-alac": Kind("mov", "alac", (44_100,), holds=CLOCK | TRACKS, frame=4096),
    "3gp-amr": Kind("3gp", "libopencore_amrnb", (8_000,), ("mono",), CLOCK, 160),
    "adts": Kind("adts", "aac", (16_000, 44_100), tells_length=False),
    "amr": Kind("amr", "libopencore_amrnb", (8_000,), ("mono",), tells_length=False),
}
CHANNELS: Final = ("the same", "upside down", "one", "in turn")
"""What a file's channels hold: the same; every second one upside down; sound in one of them only; one burst each."""
BESIDE: Final = ("alone", "alone", "another behind", "silence first", "unknown codec first")
SECOND: Final = frozenset({"silence first", "unknown codec first"})
BEHIND: Final = ("nothing", "tag", "zeros", "text", "chunk", "the same again")
"""What hangs on behind the file."""
_RAW: Final = frozenset({"mp3", "adts", "amr"})


@dataclass(frozen=True, slots=True)
class Case:
    """A file and the truth about it.

    `spans`: where it sounds, on a time axis of `seconds` that has `gaps` seconds of holes.

    `tells_length`: that its end is missing can be known.
    """

    name: str
    audio: bytes
    seconds: float
    spans: tuple[Span, ...]
    gaps: float
    track: int
    tracks: int
    times: int
    tells_length: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed drew.

    `lengths`, `holes`: seconds of each piece, and of the hole before it; `one`: the channel that sounds alone.
    """

    rate: int
    layout: str
    channels: str
    one: int
    lengths: tuple[float, ...]
    holes: tuple[float, ...]
    beside: str
    video: bool
    header: str
    behind: str

    @classmethod
    def drawn(cls, rng: random.Random, kind: Kind) -> "Plan":
        """Everything about a file but its kind."""
        pieces = rng.choice((1, 2, 3)) if "hole" in kind.holds else 1
        late = rng.uniform(0.3, 20.0) if "late" in kind.holds and rng.random() < 0.3 else 0.0
        header = rng.choice(("right", *UNFINISHED)) if "header" in kind.holds else "right"
        behind = rng.choice(BEHIND) if header == "right" else "nothing"
        return cls(
            rate=rng.choice(kind.rates),
            layout=rng.choice(kind.layouts),
            channels=rng.choice(CHANNELS),
            one=rng.randrange(8),
            lengths=tuple(rng.uniform(1.2, 5.0) for _ in range(pieces)),
            holes=(late, *(rng.choice((0.25, 1.0, 6.0, 30.0)) for _ in range(pieces - 1))),
            beside=rng.choice(BESIDE) if "tracks" in kind.holds else "alone",
            video="video" in kind.holds and rng.random() < 0.25,
            header=header,
            behind="tag" if kind.container in _RAW and behind in {"zeros", "text", "chunk"} else behind,
        )

    def pieces(self, frame: float) -> Iterator[Piece]:
        """The sound, piece by piece; where others follow a piece, it is of whole frames of that many seconds."""
        at = 0.0
        for hole, length in zip(self.holes, self.lengths, strict=True):
            at += round(hole / frame) * frame
            seconds = length if len(self.lengths) == 1 else round(length / frame) * frame
            piece = Piece(at, self._spread(signal(seconds, self.rate)))
            yield piece
            at += piece.sound.shape[1] / self.rate

    def _spread(self, mono: Samples) -> Samples:
        """The sound on all channels; shape (channels, samples)."""
        count = av.AudioLayout(self.layout).nb_channels
        each = np.tile(mono, (count, 1))
        if self.channels == "upside down":
            each[1::2] *= -1
        elif self.channels == "one":
            each[np.arange(count) != self.one % count] = 0
        elif self.channels == "in turn":
            each *= np.arange(mono.size) / self.rate // PERIOD % count == np.arange(count)[:, None]
        return each


def case(seed: int) -> Case:
    """The file that a seed stands for."""
    name = list(KINDS)[seed % len(KINDS)]
    kind, plan = KINDS[name], Plan.drawn(random.Random(seed), KINDS[name])
    pieces = list(plan.pieces(kind.frame / plan.rate))
    lengths = [piece.sound.shape[1] / plan.rate for piece in pieces]
    ends = pieces[-1].at + lengths[-1]
    spans = [
        (piece.at + start, piece.at + end)
        for piece, length in zip(pieces, lengths, strict=True)
        for start, end in bursts(length)
    ]
    audio = _written(kind, plan, pieces, ends)
    times = 2 if plan.behind == "the same again" else 1
    words = (
        name,
        plan.rate,
        plan.layout,
        plan.channels,
        plan.beside,
        "video" if plan.video else "sound",
        f"{len(pieces)} pieces",
    )
    return Case(
        name=", ".join(map(str, (*words, plan.header, plan.behind))),
        audio=audio + _behind(plan.behind, audio, kind.container),
        seconds=ends * times,
        spans=tuple((start + ends * turn, end + ends * turn) for turn in range(times) for start, end in spans),
        gaps=(ends - sum(lengths)) * times,
        track=2 if plan.beside in SECOND else 1,
        tracks=1 if plan.beside == "alone" else 2,
        times=times,
        tells_length=kind.tells_length and plan.header == "right",
    )


def _written(kind: Kind, plan: Plan, pieces: Sequence[Piece], seconds: float) -> bytes:
    """The pieces in one track, with what else the plan has."""
    samples = signal(seconds, plan.rate)
    other = Track(
        "mono", [Piece(0.0, np.zeros_like(samples[None]) if plan.beside == "silence first" else samples[None])]
    )
    tracks = [Track(plan.layout, pieces)]
    if plan.beside != "alone":
        tracks.insert(0 if plan.beside in SECOND else 1, other)
    film = seconds + 2 if plan.video else 0.0
    audio = muxed(kind.container, kind.encoder, plan.rate, tracks, options=dict(kind.options), video_seconds=film)
    if plan.beside == "unknown codec first":
        return without_codec(audio)
    return audio if plan.header == "right" else unfinished(kind.container, audio, plan.header)


_CHUNKS: Final[dict[str, bytes]] = {
    "wav": b"LIST" + struct.pack("<I", 2000) + b"INFOICMT" + struct.pack("<I", 1988) + b"x" * 1988,
    "aiff": b"ANNO" + struct.pack(">I", 2000) + b"x" * 2000,
    "caf": b"info" + struct.pack(">Q", 2000) + b"x" * 2000,
    "mp4": c.box(b"free", bytes(2000)),
    "mov": c.box(b"udta", bytes(2000)),
    "3gp": c.box(b"skip", bytes(2000)),
    "matroska": c.element("EC", bytes(2000)),
}


def _behind(what: str, audio: bytes, container: str) -> bytes:
    """What hangs on behind a file."""
    tag = b"TAG" + b"title".ljust(125, b"\0")
    text = b'{"log": "uploaded by a bot that joins what it sends"}\n' * 60
    found = {"nothing": b"", "tag": tag, "zeros": bytes(3000), "text": text, "the same again": audio}
    return _CHUNKS.get(container, tag) if what == "chunk" else found[what]
