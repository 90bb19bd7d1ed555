"""The model of a run: any that the daemon takes, the same weights in each engine's form."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import exports
from sttd.consumer.engine.files import layouts, store

ROOT: Final = Path(__file__).resolve().parents[1]
DATA: Final = ROOT / ".local" / "bench-data"


@dataclass(frozen=True, slots=True)
class Model:
    """One model by its name: a size, a Hub id, a directory, or `demo`."""

    name: str

    @property
    def directory(self) -> Path:
        """For ctranslate2. Raises `ModelUnavailable`."""
        return store.fetch(self.name, None, lambda _: None)

    def ggml(self) -> Path:
        """For whisper.cpp, made once. Raises `LookupError` for the demo model, which has another vocabulary."""
        if self.name == layouts.DEMO:
            raise LookupError("whisper.cpp knows Whisper's own vocabularies only")
        path = DATA / "models" / f"{self.name.replace('/', '--')}.ggml"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"part-{path.name}")
            exports.ggml(self.directory, part)
            part.rename(path)
        return path
