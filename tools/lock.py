"""`python -m tools.lock`: resolves requirements.lock and the locks of image and benchmark, with uv.

The locks of parts have the versions of the whole: requirements.lock is their constraint. No lock names an index.
"""

import shutil
import subprocess
import tomllib
import venv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools import no_arguments

ROOT: Final = Path(__file__).resolve().parents[1]
UV: Final = ROOT / ".local" / "lock"
WHOLE: Final = "requirements.lock"
IMAGE: Final = ("consumer", "gateway", "onnx", "otel", "s3")
"""The extras of the container image."""

ALWAYS: Final = "--universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet".split()
PART: Final = ("--no-annotate", "--constraint", WHOLE)


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock: its file, where its requirements are, or those themselves, and further options of uv."""

    file: str
    source: str
    options: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """What uv is called with; `given` goes to its standard input."""
        return ["pip", "compile", self.source, *ALWAYS, *self.options, "--output-file", self.file]


def locks(extras: dict[str, list[str]]) -> Iterator[Lock]:
    """All locks, the whole first. `extras`: those of pyproject.toml.

    The extra `gpu` has a lock of its own: its library is a gigabyte, and no test needs it.
    """
    yield Lock(WHOLE, "pyproject.toml", tuple(_extras(name for name in extras if name != "gpu")))
    yield Lock("deploy/image/consumer.lock", "pyproject.toml", (*_extras(IMAGE), *PART))
    yield Lock(
        "deploy/image/gpu.lock", "-", ("--no-annotate",), tuple(line.partition(";")[0] for line in extras["gpu"])
    )
    yield Lock("deploy/image/build.lock", "-", PART, ("hatchling",))
    yield Lock("bench/requirements.lock", "bench/requirements.txt", PART)


def _extras(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from ("--extra", name)


def main() -> None:
    """Write all locks. Raises `CalledProcessError` when pip or uv fails; they print why."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    venv.create(UV, clear=True, with_pip=True)
    try:
        subprocess.run([UV / "bin" / "python", "-m", "pip", "--quiet", "install", "uv"], check=True)  # noqa: S603 - pip
        for lock in locks(extras):
            given = "\n".join(lock.given) or None
            command = [str(UV / "bin" / "uv"), *lock.command]
            subprocess.run(command, cwd=ROOT, input=given, text=True, check=True)  # noqa: S603 - uv
    finally:
        shutil.rmtree(UV)


if __name__ == "__main__":
    no_arguments.refuse(__doc__)
    main()
