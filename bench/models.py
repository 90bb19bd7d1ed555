"""The models of a run, made once under .local/bench-data: the workload in each engine's form, or a given directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import exports, workload
from sttd.consumer.models import demo_directory

ROOT: Final = Path(__file__).resolve().parents[1]
DATA: Final = ROOT / ".local" / "bench-data"


@dataclass(frozen=True, slots=True)
class Model:
    """One model by what a run calls it: a published size, or `demo`.

    `said`: its text in each window; None: it is trained.
    """

    name: str

    @property
    def said(self) -> str | None:
        """The text of one window, whatever was spoken."""
        return None if self.name == "demo" else " ".join(workload.WORDS)

    @property
    def directory(self) -> Path:
        """For ctranslate2, stored in int8."""
        if self.name == "demo":
            return demo_directory()
        path = DATA / "models" / self.name
        return path if (path / "tokenizer.json").exists() else workload.build(workload.SIZES[self.name], path)

    def form(self, kind: str) -> Path:
        """`torch` (an archive of arrays) or `ggml`.

        Raises `LookupError` for the demo model, which has no other form.
        """
        if self.name == "demo":
            raise LookupError("the demo model is there in ctranslate2's form only")
        path = DATA / "models" / f"{self.name}.{'npz' if kind == 'torch' else 'ggml'}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"part-{path.name}")
            {"torch": exports.checkpoint, "ggml": exports.ggml}[kind](workload.SIZES[self.name], part)
            part.rename(path)
        return path
