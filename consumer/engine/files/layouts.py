"""Which files make a model, by engine: names, directories, and what is fetched of a repository. Loads nothing."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TypeAlias

from sttd.consumer.engine.files import hub
from sttd.consumer.errors import ModelMisconfigured
from sttd.consumer.models import demo_directory
from sttd.consumer.settings import EngineName

DEMO: Final = "demo"
"""The bundled model's name: for trying out, chosen only by name."""

SIZES: Final = {
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "tiny": "Systran/faster-whisper-tiny",
    "base.en": "Systran/faster-whisper-base.en",
    "base": "Systran/faster-whisper-base",
    "small.en": "Systran/faster-whisper-small.en",
    "small": "Systran/faster-whisper-small",
    "medium.en": "Systran/faster-whisper-medium.en",
    "medium": "Systran/faster-whisper-medium",
    "large-v1": "Systran/faster-whisper-large-v1",
    "large-v2": "Systran/faster-whisper-large-v2",
    "large-v3": "Systran/faster-whisper-large-v3",
    "large": "Systran/faster-whisper-large-v3",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
}
"""Size names and their Hub ids, as in faster-whisper 1.2.1 (a test compares); a copy, because its import is slow."""

_PART: Final = r"[A-Za-z0-9]([\w.-]{0,94}\w)?"
_HUB_ID: Final = re.compile(rf"(?!.*(\.\.|--|\.git$)){_PART}/{_PART}", re.ASCII)
"""By the Hub's own rules: what breaks them is an error of its library and not of the Hub."""


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A model that onnx-asr has under this name.

    `graph`: its file, without what tells the type of its weights; `longest`: seconds of audio that it was made for.
    """

    name: str
    repository: str
    graph: str
    vocabulary: str
    version: str
    languages: frozenset[str]
    longest: float

    def files(self, weights: str) -> tuple[str, ...]:
        """All that onnx-asr reads. `weights`: `float32` or `int8`."""
        return "config.json", self.graph_file(weights), self.vocabulary

    def graph_file(self, weights: str) -> str:
        """The file with the weights."""
        return f"{self.graph}.int8.onnx" if weights == "int8" else f"{self.graph}.onnx"


_GIGAAM: Final = "istupakov/gigaam-v3-onnx"
_RUSSIAN: Final = frozenset({"ru"})
ONNX: Final = {
    model.name: model
    for model in (
        OnnxModel("gigaam-v3-ctc", _GIGAAM, "v3_ctc", "v3_vocab.txt", "v3", _RUSSIAN, 25.0),
        OnnxModel("gigaam-v3-e2e-ctc", _GIGAAM, "v3_e2e_ctc", "v3_e2e_ctc_vocab.txt", "v3", _RUSSIAN, 25.0),
    )
}
"""By name. GigaAM is made for up to 25 s."""

ONNX_WEIGHTS: Final = ("float32", "int8")


class WhisperLayout:
    """ctranslate2's.

    `files`: patterns of what is fetched; `whole`: how one gets a whole directory; `choice`: what STTD_MODEL may be;
    `instead`: what else, where a model is not here. `source`, a directory or a Hub id, raises `ModelMisconfigured` for
    a name that this engine does not know, and `meant` asks for the known name that is nearest; `missing`: what a
    directory lacks; `weights`: the largest file of a whole one; `languages`: of its model, none where only its files
    tell.
    """

    files = hub.FILES
    whole = (
        "a model directory is what ct2-transformers-converter writes, with tokenizer.json copied along "
        "(--copy_files tokenizer.json preprocessor_config.json)"
    )
    choice = f"a model directory, a size or {DEMO}"
    instead = f"; or set STTD_MODEL={DEMO} to try it out"

    def source(self, name: str) -> Path | str:
        """`demo`, a size of `SIZES`, a directory, or a Hub id `owner/name`, in this order."""
        if name == DEMO:
            return demo_directory()
        if name in SIZES:
            return SIZES[name]
        if name in ONNX:
            raise ModelMisconfigured(f"STTD_MODEL={name} is a model of the engine onnx: set STTD_ENGINE=onnx")
        if (path := _directory(name)) is not None:
            return path
        if _HUB_ID.fullmatch(name):
            return name
        raise ModelMisconfigured(
            f"STTD_MODEL={name} is neither a directory, nor a Hub id (owner/name), nor one of the sizes "
            f"{', '.join(SIZES)}, nor {DEMO}{self.meant(name)}"
        )

    def meant(self, name: str) -> str:
        """Of sizes, the Hub ids of sizes, and the other engine's models."""
        return _meant(name, (DEMO, *SIZES, *ONNX, *SIZES.values()))

    def missing(self, path: Path) -> list[str]:
        """Without tokenizer.json faster-whisper would go and download one at load."""
        needed = ("model.bin", "config.json", "tokenizer.json")
        missing = [name for name in needed if not (path / name).is_file()]
        return missing if any(path.glob("vocabulary.*")) else [*missing, "vocabulary.json"]

    def weights(self, path: Path) -> Path:
        """One file."""
        return path / "model.bin"

    def languages(self, path: Path) -> list[str]:  # noqa: ARG002 - as the other layout's
        """They stand in the vocabulary."""
        return []


class OnnxLayout:
    """onnx-asr's: a name of `ONNX`, or a directory with the files of one of them. Attributes as `WhisperLayout`'s."""

    whole = "a model directory has the files of one model as they lie on the Hub"
    choice = f"a model directory or one of {', '.join(ONNX)}"
    instead = ""

    def __init__(self, name: str, compute_type: str) -> None:
        """`name`: as it is set; `compute_type`: `float32`, `int8`, or `auto` for the first of them that is there."""
        self._named = ONNX.get(name)
        self._types = ONNX_WEIGHTS if compute_type == "auto" else (compute_type,)

    @property
    def files(self) -> tuple[str, ...]:
        """Of the named model, with the first type of weights."""
        return self._named.files(self._types[0]) if self._named else ()

    def source(self, name: str) -> Path | str:
        """See the class."""
        if name in ONNX:
            return ONNX[name].repository
        names = ", ".join(ONNX)
        if name == DEMO or name in SIZES:
            raise ModelMisconfigured(
                f"STTD_MODEL={name} is a Whisper model: set STTD_ENGINE=whisper, or STTD_MODEL to a directory or to "
                f"one of {names}"
            )
        if (path := _directory(name)) is not None:
            return path
        raise ModelMisconfigured(
            f"STTD_MODEL={name}: the engine onnx takes a directory, or one of {names}{self.meant(name)}"
        )

    def meant(self, name: str) -> str:
        """Of `ONNX`."""
        return _meant(name, ONNX)

    def missing(self, path: Path) -> list[str]:
        """Of the model that is named, else of the one that most is there of."""
        return self._best(path)[2]

    def weights(self, path: Path) -> Path:
        """The graph with its weights."""
        model, weights = self.found(path)
        return path / model.graph_file(weights)

    def languages(self, path: Path) -> list[str]:
        """By our table."""
        return sorted(self.found(path)[0].languages)

    def found(self, path: Path) -> tuple[OnnxModel, str]:
        """The model in a whole directory, and the type of its weights."""
        model, weights, _ = self._best(path)
        return model, weights

    def _best(self, path: Path) -> tuple[OnnxModel, str, list[str]]:
        models = [self._named] if self._named else list(ONNX.values())
        lacks = [
            (model, weights, [name for name in model.files(weights) if not (path / name).is_file()])
            for model in models
            for weights in self._types
        ]
        return min(lacks, key=lambda one: len(one[2]))


Layout: TypeAlias = WhisperLayout | OnnxLayout
"""What one engine needs of a model directory."""


def of(name: str, engine: EngineName, compute_type: str) -> Layout:
    """The layout of an engine's models."""
    return OnnxLayout(name, compute_type) if engine == "onnx" else WhisperLayout()


def of_name(name: str, engine: EngineName, compute_type: str) -> Layout:
    """The layout of the engine that knows this name; `engine`: of a name that either may mean."""
    return of(name, "onnx" if name in ONNX else "whisper" if name in {DEMO, *SIZES} else engine, compute_type)


def _directory(name: str) -> Path | None:
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise ModelMisconfigured(f"STTD_MODEL={name}: no home directory is known here; write the whole path") from None
    if name.startswith(("/", ".", "~")):
        return path
    with suppress(OSError):  # too long for a file's name, or the working directory is closed to this user
        return path if path.is_dir() else None
    return None


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name.casefold(), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
