"""What has been measured so far, kept outside the clone: a file for each mode, a line for each note.

Standard library only. A run that was killed leaves at most one broken line, which is passed over; that note is measured
again.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Result = dict[str, Any]
Place = tuple[str, str]
"""Set and name of a note."""


def key(settings: Mapping[str, Any], engine: str, cpu: Mapping[str, Any]) -> str:
    """What results belong together: the mode, the libraries, and the CPU, on which 8-bit arithmetic depends."""
    told = json.dumps([settings, engine, cpu], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


class Results:
    """The results of one mode. Of one process only."""

    def __init__(self, path: Path) -> None:
        """Read what is there; nothing is written before `add`."""
        self._path = path
        self._lines = list(_whole_lines(path))

    def of(self, own_key: str) -> dict[Place, Result]:
        """By note, those of one key; of a note that was measured twice the later one."""
        return {(line["set"], line["name"]): line for line in self._lines if line["key"] == own_key}

    def latest(self, settings: Mapping[str, Any], cpu: Mapping[str, Any]) -> dict[Place, Result]:
        """By note, those of the engine that was measured last in this mode on this CPU; none is no error."""
        ours = [line for line in self._lines if line["key"] == key(settings, line["engine"], cpu)]
        return self.of(ours[-1]["key"]) if ours else {}

    def add(self, result: Result) -> None:
        """Append one, on a line of its own also after a line that was never finished."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as file:
            if file.tell():
                file.seek(-1, 2)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(json.dumps(result, ensure_ascii=False).encode() + b"\n")
        self._lines.append(result)


def _whole_lines(path: Path) -> list[Result]:
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:  # cut off in the middle of writing, perhaps inside a letter
            continue
    return [line for line in found if isinstance(line, dict) and {"key", "engine", "set", "name"} <= line.keys()]
