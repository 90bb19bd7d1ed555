"""The voice notes: human utterances of tools/voices.py, joined to the length that is wanted, as OGG/Opus.

24 kbit/s, as messengers send them. Made once and kept; the same in every run.
"""

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from bench.models import DATA
from sttd.samples import Sample, samples
from tools import voices
from tools.voices import RATE, Utterance

Sound = npt.NDArray[np.int16]

FOLDER: Final = DATA / "notes"
SEED: Final = 1
BITS: Final = 24_000
PAUSE_SECONDS: Final = 0.6
VOICES: Final = ("ru-festvox", "ru-prompts")
SHORT: Final = (3.0, 8.0)
SHORT_NOTES: Final = 60
LONG_SECONDS: Final = 600.0
HOUR_SECONDS: Final = 3540.0
"""Nearly an hour: the daemon's limit is the hour."""

MIXED: Final = {3: 6, 5: 6, 10: 4, 20: 3, 30: 2, 45: 1, 60: 1}
"""How many notes of each length, in seconds, are in a mixed set: most voice notes are short."""

NEAR: Final = 0.06
"""By which share a note may miss its length."""

_SHORT_TEXT: Final = 200
_SAMPLE_SECONDS: Final = 5.0
"""About: only rates in seconds of audio are computed from it."""

SETS: Final = {
    "short": "60 human notes of 3 to 8 s",
    "mixed": "23 human notes of 3 to 60 s, 10 s in the middle",
    "samples": "sttd's own short samples",
}
"""What a load can consist of; `long` and `hour` are single files beside them."""


@dataclass(frozen=True, slots=True)
class Note:
    """One note: the script, the length in seconds, the bytes."""

    name: str
    language: str
    said: str
    seconds: float
    audio: bytes


def notes(kind: str) -> list[Note]:
    """The notes of one of `SETS`, or `long` or `hour`, in a fixed order that mixes lengths."""
    if kind == "samples":
        return [
            Note(one.file, one.language, one.text, _SAMPLE_SECONDS, one.path.read_bytes()) for one in _short_samples()
        ]
    spoken, random = _spoken(), Random(SEED)  # noqa: S311 - an order, not a secret
    if kind == "short":
        chosen = [[one] for one in spoken if SHORT[0] <= one.seconds <= SHORT[1]][:SHORT_NOTES]
    else:
        wanted = {
            "mixed": [float(seconds) for seconds, count in MIXED.items() for _ in range(count)],
            "long": [LONG_SECONDS],
            "hour": [HOUR_SECONDS],
        }[kind]
        chosen = [joined(spoken, seconds, number) for number, seconds in enumerate(wanted)]
    made = [_note(f"{kind}-{SEED}-{number}", parts) for number, parts in enumerate(chosen)]
    random.shuffle(made)
    return made


def of_length(seconds: float, count: int) -> list[Note]:
    """So many notes of about so many seconds."""
    spoken = _spoken()
    return [_note(f"{seconds:g}s-{SEED}-{number}", joined(spoken, seconds, number)) for number in range(count)]


def _short_samples() -> list[Sample]:
    return [one for one in samples() if one.expect == "text" and len(one.text) <= _SHORT_TEXT and not one.only]


def _spoken() -> list[Utterance]:
    """All utterances, mixed; ends the run with one sentence where they cannot be fetched."""
    try:
        found = voices.utterances(voices.fetch(), VOICES)
    except voices.VoicesUnavailable as error:
        sys.exit(f"bench: {error}")
    Random(SEED).shuffle(found)  # noqa: S311 - an order, not a secret
    return found


def joined(spoken: Sequence[Utterance], seconds: float, number: int) -> list[Utterance]:
    """Utterances that fill so many seconds, with pauses between them.

    Of one voice, which takes turns with the other; of both where one has not enough. `number`: of the note; each begins
    at another place.
    """
    turn = number % len(VOICES)
    own = [(one, one.seconds) for voice in (*VOICES[turn:], *VOICES[:turn]) for one in spoken if one.set == voice]
    first = [pair for pair in own if pair[0].set == VOICES[turn]]
    for pairs in (first, own[len(first) :], own):
        for start in range(len(pairs)):
            place = (number * 7 + start) % len(pairs)
            if parts := _filled([*pairs[place:], *pairs[:place]], seconds):
                return parts
    raise ValueError(f"the voices do not fill {seconds:g} s")


def _filled(own: Iterable[tuple[Utterance, float]], seconds: float) -> list[Utterance]:
    """The first ones that fit; none where they never fill it, as when the first is a little too short."""
    parts: list[Utterance] = []
    filled = 0.0
    for one, length in own:
        with_pause = length + (PAUSE_SECONDS if parts else 0.0)
        if filled + with_pause <= seconds * (1 + NEAR):
            parts.append(one)
            filled += with_pause
        if filled >= seconds * (1 - NEAR):
            return parts
    return []


def _note(name: str, parts: Sequence[Utterance]) -> Note:
    file = FOLDER / f"human-{name}.ogg"
    seconds = sum(part.seconds for part in parts) + PAUSE_SECONDS * (len(parts) - 1)
    if not file.exists():
        pause = np.zeros(int(PAUSE_SECONDS * RATE), np.float32)
        pieces = [piece for part in parts for piece in (pause, part.audio())][1:]
        FOLDER.mkdir(parents=True, exist_ok=True)
        file.write_bytes(opus((np.concatenate(pieces) * 32767).astype(np.int16)))
    return Note(name, parts[0].language, " ".join(part.text for part in parts), seconds, file.read_bytes())


def opus(sound: Sound) -> bytes:
    """Mono samples at 16 kHz as an OGG/Opus file."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="ogg") as container:
        stream: Any = container.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = BITS
        for frame in _frames(sound):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sink.getvalue()


def _frames(sound: Sound) -> Iterator[av.AudioFrame]:
    size = RATE // 50
    padded = np.pad(sound, (0, -sound.size % size))
    for number, piece in enumerate(padded.reshape(-1, 1, size)):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, number * size, Fraction(1, RATE)
        yield frame


def in_turn(made: Sequence[Note], count: int, *, start: int = 0) -> list[Note]:
    """So many of them, over and over."""
    return [made[(start + number) % len(made)] for number in range(count)]
