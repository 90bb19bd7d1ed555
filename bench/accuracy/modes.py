"""What is compared: ways to transcribe, and the notes.

Pure but for the decoding of audio; imports tools.voices only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from random import Random
from typing import Any, Final, Literal

import numpy as np

from tools.voices import RATE, Utterance

SEED: Final = 11
JOINED: Final = "-joined"
JOINED_SECONDS: Final = 90.0
PAUSE_SECONDS: Final = 0.6
_LATER: Final = frozenset({"hotwords", "stock_vad", "engine", "words"})
SHARES: Final = {"ru-festvox": 3, "ru-prompts": 3, "en-prompts": 2}
"""How the sets take turns, so that a run that is stopped has something of each."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to transcribe.

    `compute_type`, `encoder`, `context`, `engine`: settings, empty for the default; `arithmetic`: OpenVINO's, whatever
    the result of a self-test.
    """

    title: str
    stock: bool = False
    compute_type: Literal["auto", "int8"] = "auto"
    encoder: Literal["auto", "ctranslate2"] = "auto"
    context: Literal["auto", "full"] = "auto"
    arithmetic: Literal["f32", "int8", "bf16"] | None = None
    long_windows: bool = True
    beam: int = 5
    vad: bool = True
    auto: bool = False
    hotwords: str | None = None
    stock_vad: bool = False
    words: bool = False
    engine: Literal["", "onnx"] = ""

    def takes(self, language: str) -> bool:
        """Whether notes in this language are measured: models of the engine onnx know Russian only."""
        return self.engine != "onnx" or language == "ru"

    @property
    def settings(self) -> dict[str, Any]:
        """What results depend on: not the title, nor a field that came later and is not used."""
        return {
            name: value for name, value in asdict(self).items() if name != "title" and (value or name not in _LATER)
        }


MODES: Final = {
    "stock": Mode("stock faster-whisper in int8 with its own defaults", stock=True),
    "default": Mode("sttd as it is by default"),
    "full": Mode("default, all 30 s of each window encoded", context="full"),
    "eight-bits": Mode("as stock computes", compute_type="int8", encoder="ctranslate2", context="full"),
    "openvino-f32": Mode("OpenVINO encodes, float32, full windows", arithmetic="f32"),
    "openvino-int8": Mode("OpenVINO encodes, int8, full windows", arithmetic="int8"),
    "openvino-bf16": Mode("OpenVINO encodes, bfloat16, full windows", arithmetic="bf16"),
    "vad-off": Mode("default, `vad` off", vad=False),
    "greedy": Mode("default, beam 1", beam=1),
    "auto": Mode("default, language `auto`", auto=True),
    "sequential": Mode("default, long audio in one go", long_windows=False),
    "onnx": Mode("the engine onnx (with --model gigaam-v3-ctc)", engine="onnx"),
}


@dataclass(frozen=True, slots=True)
class Note:
    """What is transcribed at once: one utterance, or consecutive ones with pauses between them."""

    set: str
    name: str
    language: str
    parts: tuple[Utterance, ...]

    @property
    def text(self) -> str:
        """The script."""
        return " ".join(part.text for part in self.parts)

    @property
    def seconds(self) -> float:
        """Its length, without the pauses."""
        return sum(part.seconds for part in self.parts)

    def audio(self) -> Any:
        """Float32 mono samples at 16 kHz, shape (samples,)."""
        pause = np.zeros(int(PAUSE_SECONDS * RATE), np.float32)
        pieces = [piece for part in self.parts for piece in (pause, part.audio())]
        return np.concatenate(pieces[1:])


def notes(everything: Sequence[Utterance]) -> list[Note]:
    """All single utterances in a fixed order: mixed within a set, the sets by turns.

    The first N are the same in every run.
    """
    columns: list[list[Note]] = []
    for name, share in SHARES.items():
        own = [Note(one.set, one.name, one.language, (one,)) for one in everything if one.set == name]
        Random(f"{SEED}-{name}").shuffle(own)  # noqa: S311 - an order, not a secret
        columns += [own[start::share] for start in range(share)]
    return [note for row in zip_longest(*columns) for note in row if note is not None]


def joined(chosen: Sequence[Note]) -> Iterator[Note]:
    """Notes of `JOINED_SECONDS` and the rest of an utterance, made of the chosen ones in their sets' own order.

    What is left over at the end of a set and too short is dropped.
    """
    for name in SHARES:
        parts: list[Utterance] = []
        filled = 0.0
        for note in sorted((note for note in chosen if note.set == name), key=lambda note: note.name):
            parts += note.parts
            filled += note.seconds + PAUSE_SECONDS
            if filled >= JOINED_SECONDS:
                yield Note(f"{name}{JOINED}", f"{parts[0].name}..{parts[-1].name}", note.language, tuple(parts))
                parts, filled = [], 0.0
