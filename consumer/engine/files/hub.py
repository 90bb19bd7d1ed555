"""Models on the Hugging Face Hub: look one up in the local cache, download one with progress.

The only file that imports huggingface_hub (lazily: half a second). Never loads a model; never uses the network in
`cached`.
"""

import logging
import threading
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, Final

from sttd.consumer.engine.files import disk
from sttd.consumer.engine.files.download_progress import DownloadProgress, OnProgress
from sttd.consumer.errors import SttdError
from sttd.service import background

SOURCE: Final = "the Hugging Face Hub"

FILES: Final = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""What faster-whisper needs of a repository: the `files` of the functions below."""

FIRST_ANSWER_SECONDS: Final = 6.0
"""Without any answer by then there is no network: refused, no name service, or packets swallowed."""

FIRST_BYTES_SECONDS: Final = 60.0
"""From the first answer to the first file; after that the library's own timeouts end a dead download."""


class HubUnavailable(Exception):
    """The Hub did not give the model; the text is the reason, in one line, for a person."""

    def __init__(self, reason: str, *, elsewhere: bool, unknown: bool = False) -> None:
        """`elsewhere`: whether it makes sense to ask another source; `unknown`: it shows no such model to this user."""
        super().__init__(reason)
        self.elsewhere = elsewhere
        self.unknown = unknown


def folder(repository: str, cache: Path | None) -> Path:
    """The repository's folder in the cache (default: the library's own), there or not."""
    from huggingface_hub import constants, file_download  # noqa: PLC0415 - slow to import

    name = file_download.repo_folder_name(repo_id=repository, repo_type="model")
    return (cache or Path(constants.HF_HUB_CACHE)) / name


def cached(repository: str, cache: Path | None, files: Sequence[str] = FILES) -> Path | None:
    """The repository's snapshot in the local cache (default: the library's own), or None; no network call."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow to import, and a local model never needs it
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415 - the same

    try:
        return Path(snapshot_download(repository, cache_dir=cache, allow_patterns=list(files), local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def download(repository: str, cache: Path | None, on_progress: OnProgress, files: Sequence[str] = FILES) -> Path:
    """Download what is missing of the repository; resumes where an earlier try stopped.

    `on_progress` is called in the library's threads; it may raise an `SttdError` to end the download.
    Raises `HubUnavailable` within `FIRST_ANSWER_SECONDS` when there is no network.
    """
    try:
        return _download(repository, cache, files, _Meter(_answered(repository, files), on_progress))
    except SttdError:  # from on_progress
        raise
    except Exception as error:  # httpx's, the Hub library's, hf_xet's, the disk's
        raise _translated(error) from error


def ask(repository: str, files: Sequence[str] = FILES) -> None:
    """Ask whether the Hub has the model, and download nothing.

    Raises `HubUnavailable`, within `FIRST_ANSWER_SECONDS` when there is no network.
    """
    try:
        _answered(repository, files)
    except Exception as error:  # httpx's, the Hub library's
        raise _translated(error) from error


def _answered(repository: str, files: Sequence[str]) -> int:
    """Bytes to fetch. A name lookup has no timeout of its own: it is left behind when it takes too long."""
    return background.start(partial(_size, repository, files), name="model-hub").result(FIRST_ANSWER_SECONDS)


def _size(repository: str, wanted: Sequence[str]) -> int:
    """Bytes to fetch; also the proof that the Hub answers."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - slow to import

    # It warns of each retry; one line at the end is enough.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    files = HfApi().model_info(repository, files_metadata=True, timeout=FIRST_ANSWER_SECONDS).siblings or []
    return sum(file.size or 0 for file in files if any(fnmatch(file.rfilename, pattern) for pattern in wanted))


def _download(repository: str, cache: Path | None, files: Sequence[str], meter: "_Meter") -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow to import

    def fetch() -> Path:
        bar = _bar_class(meter)
        return Path(snapshot_download(repository, cache_dir=cache, allow_patterns=list(files), tqdm_class=bar))

    outcome = background.start(fetch, name="model-download")
    outcome.add_done_callback(lambda _: meter.alive.set())
    if not meter.alive.wait(FIRST_BYTES_SECONDS):
        raise TimeoutError
    path = outcome.result()
    meter.finished()
    return path


def _translated(error: Exception) -> HubUnavailable:
    """Describe a failed download. A full disk, or the setting to stay offline, holds for any source."""
    from huggingface_hub import errors  # noqa: PLC0415 - slow to import

    cause = error
    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        cause = error.__cause__  # it only searched the cache because of this
    meanings: tuple[tuple[type[Exception], str], ...] = (  # the first that fits: subclasses before their bases
        (TimeoutError, "the Hugging Face Hub does not answer"),
        (errors.OfflineModeIsEnabled, "the Hugging Face Hub was not asked (HF_HUB_OFFLINE)"),
        (errors.GatedRepoError, "the Hugging Face Hub asks for a token (HF_TOKEN)"),
        (errors.RepositoryNotFoundError, "the Hugging Face Hub has no such model (a private one needs HF_TOKEN)"),
        (errors.HfHubHTTPError, f"the Hugging Face Hub refuses ({type(cause).__name__})"),
        (OSError, disk.not_kept(getattr(cause, "strerror", None) or type(cause).__name__)),
    )
    here = (errors.OfflineModeIsEnabled, OSError)
    if full := disk.trouble(str(cause)):  # hf_xet has no type of its own for it
        return HubUnavailable(full, elsewhere=False)
    for kind, meaning in meanings:
        if isinstance(cause, kind):
            unknown = issubclass(kind, errors.RepositoryNotFoundError)
            return HubUnavailable(meaning, elsewhere=kind not in here, unknown=unknown)
    return HubUnavailable(f"the Hugging Face Hub cannot be reached ({type(cause).__name__})", elsewhere=True)


class _Meter:
    """Adds up the library's progress bars. Called from many threads."""

    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self.alive = threading.Event()
        self._total = total
        self._done = 0
        self._on_progress = on_progress
        self._lock = threading.Lock()

    def moved(self, done: int, total: int) -> None:
        """One of the bars moved: several count the same bytes (received, written), so the furthest counts."""
        self.alive.set()
        with self._lock:
            self._total = max(self._total, total)
            self._done = max(self._done, min(done, self._total))
            progress = DownloadProgress(self._done, self._total)
        self._on_progress(progress)

    def finished(self) -> None:
        """All files are there, those of an earlier try included."""
        self._on_progress(DownloadProgress(self._total, self._total))


def _bar_class(meter: _Meter) -> type[Any]:
    """The progress bar that the library drives: draws nothing, feeds the meter."""
    # Ships no types; the Hub library brings it.
    from tqdm.auto import tqdm  # type: ignore[import-untyped] # noqa: PLC0415 - see above

    class Bar(tqdm):  # type: ignore[misc] # untyped base
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            if self._counts_bytes:
                self.n += n or 0  # a disabled bar does not count by itself
                meter.moved(int(self.n), int(self.total or 0))

        def refresh(self, *_: Any, **__: Any) -> None:
            if self._counts_bytes and self.total:  # a file was opened: the download has begun
                meter.moved(int(self.n), int(self.total))

    Bar.set_lock(threading.RLock())  # tqdm's default is a lock between processes
    return Bar
