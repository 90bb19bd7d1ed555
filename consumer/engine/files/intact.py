"""Whether a downloaded model is still what was downloaded: each file against its hash, with a stamp for cheap starts.

Works on the layout of the Hub's cache, `models--OWNER--NAME/snapshots/REVISION/FILE`, for files of either source.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sttd.consumer.engine.files import disk, packages

WORK: Final = ".sttd"
"""Our folder in a repository's folder of the cache: the stamp, and what a download has so far."""

_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def known(snapshot: Path) -> dict[str, str]:
    """File names and the hash that each must have: SHA-256 by our table, else the name of the file in the Hub's cache.

    The Hub names large files by their SHA-256, small ones by git's SHA-1. Empty for a directory of the user's own.
    """
    repository = snapshot.parent.parent.name.removeprefix("models--").replace("--", "/")
    packaged = packages.MODELS.get(repository)
    if packaged is not None and packaged.revision == snapshot.name and snapshot.parent.name == "snapshots":
        return {name: file.sha256 for name, file in packaged.files.items()}
    blobs = {path.name: path.resolve().name for path in sorted(snapshot.iterdir()) if path.is_file()}
    return {name: blob for name, blob in blobs.items() if _HASH.fullmatch(blob)}


def damaged(snapshot: Path, *, thorough: bool = False) -> list[str]:
    """The files that differ from their hash. What is unchanged since the stamp of an earlier check is not read again.

    `thorough` reads everything. Raises `OSError`.
    """
    hashes = known(snapshot)
    if not hashes or (not thorough and _stamp(snapshot).get("files") == _facts(snapshot, hashes)):
        return []
    seen = _facts(snapshot, hashes)  # before the reading: a change meanwhile does not fit the stamp
    found = [name for name, expected in hashes.items() if not fits(snapshot / name, expected)]
    if not found:
        with contextlib.suppress(OSError):  # a read-only cache: the next start reads the files again
            disk.write(_stamp_path(snapshot), json.dumps({"files": seen}))
    return found


def discard(snapshot: Path, names: list[str]) -> None:
    """Remove damaged files, so that the next download brings them anew. Raises `OSError`."""
    for name in names:
        path = snapshot / name
        blob = path.resolve()
        path.unlink(missing_ok=True)
        if blob.parent.name == "blobs":
            blob.unlink(missing_ok=True)


def fits(path: Path, expected: str) -> bool:
    """Whether the file is there with this hash: a SHA-256, or git's SHA-1 of a file by its length. Raises `OSError`."""
    if not path.is_file():
        return False
    digest = hashlib.sha256()
    if len(expected) != len(digest.hexdigest()):
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: digest).hexdigest() == expected


def _facts(snapshot: Path, hashes: Mapping[str, str]) -> dict[str, list[int]]:
    """Size and times of change of each file, in ns: a write that sets the old mtime again still moves the ctime."""
    stats = {name: (snapshot / name).stat() for name in hashes if (snapshot / name).is_file()}
    return {name: [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for name, stat in stats.items()}


def _stamp_path(snapshot: Path) -> Path:
    return snapshot.parent.parent / WORK / f"verified-{snapshot.name}.json"


def _stamp(snapshot: Path) -> dict[str, object]:
    try:
        told = json.loads(_stamp_path(snapshot).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or half of one
        return {}
    return told if isinstance(told, dict) else {}
