"""The environment that some peers and the plot need beside .venv: installed once, and when its lock changes."""

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from bench.models import ROOT

FOLDER: Final = ROOT / ".local" / "bench"
LOCK: Final = ROOT / "bench" / "requirements.lock"
"""It has hashes, so pip demands them."""


def python(name: str = "bench") -> Path:
    """An environment's interpreter, be it installed or not; `own` is the one that runs the harness."""
    return Path(sys.executable) if name == "own" else FOLDER / "bin" / "python"


def install() -> None:
    """Nothing to do when it is current. Raises `CalledProcessError` when pip fails; pip prints why."""
    stamp = FOLDER / ".installed"
    if stamp.exists() and stamp.read_bytes() == LOCK.read_bytes():
        return
    venv.create(FOLDER, clear=True, with_pip=True)
    pip = [str(python()), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install"]
    subprocess.run([*pip, "-r", str(LOCK)], check=True)  # noqa: S603 - our own command
    stamp.write_bytes(LOCK.read_bytes())
