"""Is it the same text? Our engine in each of its modes against stock faster-whisper on the demo model; every difference with its reason.

Runs engines in this process, one after the other. Imports consumer's engine, faster-whisper and notes.
"""

from __future__ import annotations

import importlib
import inspect
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from bench import notes
from bench.peers.bare import job_options
from bench.run import tell
from sttd.consumer.models import demo_directory
from tools.demo_wer import distance, words

LADDER: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One sentence, its language, its samples."""

    said: str
    language: str
    samples: Any


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to run our engine. `like`: how stock is asked for the same; `engine`: arguments of `open_engine` more than usual."""

    name: str
    engine: dict[str, Any]
    options: dict[str, Any]
    like: dict[str, Any]


BY_ITSELF: Final = {"temperatures": (0.0,), "vad": False}
STOCK: Final = {"temperature": [0.0], "vad_filter": False}
MODES: Final = (
    Mode("ctranslate2 encodes", {"encoder": "ctranslate2"}, BY_ITSELF, STOCK),
    Mode("OpenVINO encodes", {"encoder": "openvino"}, BY_ITSELF, STOCK),
    Mode("OpenVINO, voice detection", {"encoder": "openvino"}, BY_ITSELF | {"vad": True}, STOCK | {"vad_filter": True}),
    Mode(
        "OpenVINO, language auto", {"encoder": "openvino"}, BY_ITSELF | {"language": "auto"}, STOCK | {"language": None}
    ),
    Mode("OpenVINO, greedy", {"encoder": "openvino"}, BY_ITSELF | {"beam": 1}, STOCK | {"beam_size": 1}),
    Mode("the daemon's defaults (ladder of temperatures)", {"encoder": "auto"}, {"vad": True}, {"vad_filter": True}),
)


async def compare(count: int, cores: int) -> dict[str, Any]:
    """So many notes in each language, every mode."""
    made = [
        Spoken(said, language, _samples(audio))
        for language in ("ru", "en")
        for said, audio in notes.sentences(language, count, seed=7)
    ]
    stock = Stock(cores)
    found = {}
    for mode in MODES:
        if lacking := set(mode.engine) - _known():
            found[mode.name] = {"not_run": f"this engine has no {', '.join(sorted(lacking))}"}
            continue
        found[mode.name] = await _one(mode, made, stock, cores)
        tell(f"{mode.name}: {found[mode.name]['equal']} of {len(made)} equal")
    return {"notes": len(made), "by_language": count, "modes": found}


def _known() -> set[str]:
    from sttd.consumer.engine.opening import open_engine  # noqa: PLC0415 - imports no model, but the engine's threads' environment comes first

    return set(inspect.signature(open_engine).parameters)


def _samples(audio: bytes) -> Any:
    from faster_whisper.audio import decode_audio  # noqa: PLC0415 - slow to import

    return decode_audio(io.BytesIO(audio))


class Stock:
    """faster-whisper as it is, in int8; its answers are kept, as many modes ask the same."""

    def __init__(self, cores: int) -> None:
        """Load the demo model, and once more in float32 for the reasons of differences."""
        from faster_whisper import WhisperModel  # noqa: PLC0415 - slow to import

        def load(kind: str) -> Any:
            return WhisperModel(str(demo_directory()), device="cpu", compute_type=kind, cpu_threads=cores)

        self._model = load("int8")
        self._exact = load("float32")
        self._kept: dict[tuple[int, str], tuple[str, float]] = {}

    def text(
        self, note: Spoken, like: dict[str, Any], *, exact: bool = False, again: bool = False
    ) -> tuple[str, float]:
        """Its text, and the highest temperature that it needed. `again`: asked anew even if it is known."""
        key = (id(note), f"{like}{exact}")
        if again or key not in self._kept:
            given: dict[str, Any] = {
                "language": note.language,
                "beam_size": 5,
                "condition_on_previous_text": False,
            } | like
            segments = list((self._exact if exact else self._model).transcribe(note.samples, **given)[0])
            self._kept[key] = _joined(segments), max((segment.temperature or 0.0 for segment in segments), default=0.0)
        return self._kept[key]


def _joined(segments: Iterable[Any]) -> str:
    return "".join(segment.text for segment in segments).strip()


async def _one(mode: Mode, made: list[Spoken], stock: Stock, cores: int) -> dict[str, Any]:
    heard = await _ours(mode, made, cores)
    differences = [
        {
            "said": note.said,
            "stock": theirs,
            "ours": ours,
            "words_apart": distance(words(theirs), words(ours)),
            "why": why,
        }
        for note, ours in zip(made, heard, strict=True)
        if (theirs := stock.text(note, mode.like)[0]) != ours and (why := _reason(note, ours, mode, stock))
    ]
    return {
        "equal": len(made) - len(differences),
        "share": (len(made) - len(differences)) / len(made),
        "words_wrong_stock": _wrong(made, lambda note, _: stock.text(note, mode.like)[0]),
        "words_wrong_ours": _wrong(made, lambda _, place: heard[place]),
        "words_said": sum(len(words(note.said)) for note in made),
        "differences": differences,
    }


async def _ours(mode: Mode, made: list[Spoken], cores: int) -> list[str]:
    from sttd.consumer.engine.opening import open_engine  # noqa: PLC0415 - the same
    from sttd.consumer.engine.transcriber import Job  # noqa: PLC0415 - the same

    more = dict(mode.engine)
    if "contexts" in more:
        more["contexts"] = importlib.import_module("sttd.consumer.engine.model.contexts").Contexts(**more["contexts"])
    engine = await open_engine(
        model="demo",
        cache=None,
        device="cpu",
        compute_type="int8",
        slots=cores,
        threads=cores,
        on_progress=lambda _: None,
        **more,
    )
    given: dict[str, Any] = {"beam": 5, "vad": True} | mode.options
    language = given.pop("language", None)
    try:
        return [
            (await engine.transcribe(Job(note.samples, job_options(language or note.language, **given)))).text
            for note in made
        ]
    finally:
        await engine.close(5)


def _reason(note: Spoken, ours: str, mode: Mode, stock: Stock) -> str:
    """Why the texts differ, as far as runs can tell; the first that applies."""
    if stock.text(note, mode.like)[1] > 0:
        redrawn = stock.text(note, mode.like, again=True)[0]
        same = (
            "gives yet another text when asked again"
            if redrawn != stock.text(note, mode.like)[0]
            else "happens to repeat itself"
        )
        return f"stock went above temperature 0, where it draws tokens from an unseeded generator; it {same}"
    exact = stock.text(note, mode.like, exact=True)[0]
    if exact == ours:
        return "ours is stock's own text in float32: int8 rounding tipped stock's"
    if exact != stock.text(note, mode.like)[0]:
        return "near a tie: stock in float32 differs from stock in int8 as well"
    return "stock in int8 and float32 agree: ours rounded the other way, or the mode leaves something out"


def _wrong(made: list[Spoken], text: Callable[[Spoken, int], str]) -> int:
    return sum(distance(words(note.said), words(text(note, place))) for place, note in enumerate(made))
