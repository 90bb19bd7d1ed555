"""The environments that some peers need beside .venv: installed once, and again when their requirements change."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from bench.models import ROOT

FOLDERS: Final = {"bench": ROOT / ".local" / "bench", "torch": ROOT / ".local" / "bench-torch"}
REQUIREMENTS: Final = {
    "bench": ROOT / "bench" / "requirements.lock",
    "torch": ROOT / "bench" / "requirements-torch.txt",
}
"""The lock has hashes, so pip demands them; torch takes up to 6 GB and is installed only when asked for."""


def python(name: str) -> Path:
    """An environment's interpreter, be it installed or not; `own` is the one that runs the harness."""
    return Path(sys.executable) if name == "own" else FOLDERS[name] / "bin" / "python"


def install(name: str) -> None:
    """Install one; nothing to do when it is current. Raises `CalledProcessError` when pip fails; pip prints why."""
    file, stamp = REQUIREMENTS[name], FOLDERS[name] / ".installed"
    if stamp.exists() and stamp.read_bytes() == file.read_bytes():
        return
    venv.create(FOLDERS[name], clear=True, with_pip=True)
    pip = [str(python(name)), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install"]
    subprocess.run([*pip, "-r", str(file)], check=True)  # noqa: S603 - our own command
    stamp.write_bytes(file.read_bytes())
