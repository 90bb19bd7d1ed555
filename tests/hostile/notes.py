"""Notes that decode, to begin with. Imports the samples and damage.py."""

from __future__ import annotations

from sttd.samples import samples
from tests.hostile import damage


def good() -> list[bytes]:
    """The bundled notes that decode, and one file of each of the twelve formats."""
    bundled = [sample.path.read_bytes() for sample in samples() if sample.expect in {"text", "no_speech"}]
    return [*bundled, *(damage.file(name, 3.0) for name in damage.NAMES)]
