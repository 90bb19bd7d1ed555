"""The result of the comparison of the two encoders, kept on disk so that later starts do not pay for it again.

A file that cannot be read or written costs a comparison, never a start.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from sttd.consumer.engine.files import disk
from sttd.consumer.engine.model.comparison import CLEAR
from sttd.consumer.engine.model.cpu import Cpu
from sttd.consumer.engine.model.graph import Precision

METHOD: Final = 2
"""Goes up when the comparison itself changes: what an older one found is then not used."""

MOST_STARTS: Final = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EncoderFinding:
    """The result of the comparison for one model on one machine.

    `precision`: the arithmetic in which OpenVINO encodes, None where ctranslate2 does. `ours`, `theirs`: least cosine
    of OpenVINO's and of ctranslate2's output to that of `against`, None where it was not measured. `against`:
    `float32`, or the loaded type where a copy in float32 had no room. `gain`: core time of a whole note with
    ctranslate2 alone divided by that with OpenVINO's encoder. `reasons`: why each arithmetic that was tried before was
    not taken. `starts`: at how many starts it was measured.
    """

    precision: Precision | None
    ours: float | None
    theirs: float | None
    against: str
    gain: float | None
    reasons: tuple[str, ...] = ()
    starts: int = 1

    @property
    def lasting(self) -> bool:
        """Whether later starts may rely on it: OpenVINO was taken, or ctranslate2 is clearly the faster one.

        A close result is measured again at the next starts: on a busy machine the gain comes out too small, and one
        such start must not keep OpenVINO off for good. A comparison that failed for another reason than speed is made
        again too.
        """
        close = self.gain is None or self.gain >= 1 / CLEAR
        return self.precision is not None or not close or self.starts >= MOST_STARTS


class Findings:
    """One JSON file for each key in a directory that may not exist yet."""

    def __init__(self, directory: Path) -> None:
        """`directory`: usually below the model cache, so that it outlives a container."""
        self._directory = directory

    def recall(self, key: str) -> EncoderFinding | None:
        """The earlier result under this key, or None."""
        try:
            found = json.loads(self._file(key).read_text(encoding="utf-8"))
            return EncoderFinding(**{**found, "reasons": tuple(found["reasons"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, key: str, finding: EncoderFinding) -> None:
        """Write it down, as measured at one start more; a directory that cannot be written to is a debug line."""
        before = self.recall(key)
        counted = replace(finding, starts=before.starts + 1 if before else finding.starts)
        try:
            disk.write(self._file(key), json.dumps(asdict(counted)))
        except OSError as error:
            log.debug("the comparison of encoders is not kept: %s", error.strerror, action="encoder")

    def _file(self, key: str) -> Path:
        return self._directory / f"{key}.json"


def own_cache() -> Path:
    """This user's cache of sttd, as the XDG base directory specification names it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sttd"


def sha256(file: Path) -> str:
    """The hash of a whole file. Raises `OSError`."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def key(model: str, cpu: Cpu, *facts: str) -> str:
    """A name for one comparison: everything that its outcome depends on.

    `model`: the SHA-256 of its file; `facts`: versions of the libraries, compute type, setting.
    """
    told = json.dumps([METHOD, model, cpu.name, sorted(cpu.flags), cpu.caps, *facts])
    return hashlib.sha256(told.encode()).hexdigest()[:32]
