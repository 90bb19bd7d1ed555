"""Where the weights come from: a model's name -> a directory on disk that is fit to load.

Imports hub, consumer.models and consumer.errors; never imports faster_whisper, never loads a model. `resolve` makes no
network call; `fetch` is the only one that does. Whatever is wrong is a `ModelUnavailable` of one line with the next step.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from sttd.consumer.engine import hub
from sttd.consumer.engine.hub import OnProgress, Progress
from sttd.consumer.errors import ModelUnavailable
from sttd.consumer.models import demo_directory

__all__ = ["DEMO", "SIZES", "Progress", "fetch", "resolve", "verify"]

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

_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def resolve(name: str, cache: Path | None) -> Path | None:
    """The directory of model `name`, or None when it is a Hub model that is not (wholly) in the local cache.

    `name`: `demo`, a size of `SIZES`, a directory, or a Hub id `owner/name`, in this order. `cache`: where downloads are kept;
    None means the Hub library's own place. Raises `ModelUnavailable` for an unknown name or an unfit directory.
    """
    source = _source(name)
    if isinstance(source, Path):
        return _fit(source, f"STTD_MODEL={name}")
    path = hub.cached(source, cache)
    return path if path is not None and not _missing(path) else None


def fetch(name: str, cache: Path | None, on_progress: OnProgress) -> Path:
    """The directory of model `name`, downloaded if it is not there yet. Blocks; resumes an interrupted download.

    `on_progress` is called in other threads; it may raise an `SttdError` to end the download. Without network it raises
    `ModelUnavailable` within ten seconds.
    """
    if (path := resolve(name, cache)) is not None:
        return path
    repository = str(_source(name))
    try:
        return _fit(hub.download(repository, cache, on_progress), f"the model {repository}")
    except hub.HubUnavailable as error:
        raise ModelUnavailable(f"model {name!r} is not on this machine and {error}: {_next_step(name)}") from error


def verify(name: str, path: Path) -> None:
    """Compare a downloaded model's weights with their SHA-256, by which the Hub's cache names them.

    Reads the whole file. A directory of the user's own has no such name and passes. Raises `ModelUnavailable`.
    """
    weights = (path / "model.bin").resolve()
    if not _SHA256.fullmatch(weights.name):
        return
    with weights.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != weights.name:
            raise ModelUnavailable(
                f"model {name!r} is damaged on disk: delete {weights}, then run `sttd model fetch {name}`"
            )


def _source(name: str) -> Path | str:
    """A directory, or a Hub id."""
    if name == DEMO:
        return demo_directory()
    if name in SIZES:
        return SIZES[name]
    path = Path(name).expanduser()
    if path.is_dir() or name.startswith(("/", ".", "~")):
        return path
    if _HUB_ID.fullmatch(name) and ".." not in name and "--" not in name:  # the Hub's own rules
        return name
    raise ModelUnavailable(
        f"STTD_MODEL={name} is neither a directory, nor a Hub id (owner/name), nor one of the sizes {', '.join(SIZES)}, nor {DEMO}"
    )


def _fit(path: Path, what: str) -> Path:
    if not path.is_dir():
        raise ModelUnavailable(
            f"{what}: there is no such directory; set STTD_MODEL to a model directory, a size or {DEMO}"
        )
    if missing := _missing(path):
        raise ModelUnavailable(
            f"{what}: {' and '.join(missing)} missing in {path}; a model directory is what ct2-transformers-converter writes, "
            "with tokenizer.json copied along (--copy_files tokenizer.json preprocessor_config.json)"
        )
    return path


def _missing(path: Path) -> list[str]:
    """What the directory lacks. Without tokenizer.json faster-whisper would go and download one at load."""
    needed = ("model.bin", "config.json", "tokenizer.json")
    missing = [name for name in needed if not (path / name).is_file()]
    return missing if any(path.glob("vocabulary.*")) else [*missing, "vocabulary.json"]


def _next_step(name: str) -> str:
    return (
        f"run `sttd model fetch {name}` where there is network and bring its cache here, "
        f"set STTD_MODEL=<directory>, or STTD_MODEL={DEMO} to try it out"
    )
