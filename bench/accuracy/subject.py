"""What a benchmark of texts measures: one model on this machine, and where its results are kept."""

import argparse
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import machine
from bench.accuracy.results import Results
from bench.models import ROOT
from bench.run import tell
from sttd.consumer.engine.files import layouts, store
from sttd.consumer.machine import usable_cores
from sttd.consumer.settings import EngineName
from tools import voices

PAGES: Final = ROOT / "docs" / "benchmarks"


def parser(word: str, about: str | None, cores: int | None = None) -> argparse.ArgumentParser:
    """The options of every benchmark of texts; `cores`: the default where there is a choice."""
    found = argparse.ArgumentParser(prog=f"python -m bench {word}", description=about)
    found.add_argument("--model", default="base", help="a size, a Hub id or a directory")
    if cores:
        found.add_argument("--cores", type=int, default=min(cores, usable_cores()))
    found.add_argument("--remark", default="", help="a sentence for the head of the page: what else the machine did")
    found.add_argument("--page-only", action="store_true", help="measure nothing")
    return found


def write(name: str, page: str, folder: Path = PAGES) -> None:
    """Put the page of this name in its place."""
    path = folder / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    tell(f"written: {os.path.relpath(path)}")


@dataclass(frozen=True, slots=True)
class Subject:
    """`name`: what was asked for; `model`: its directory; `machine`: as `machine.describe` tells it."""

    name: str
    model: Path
    sha256: str
    machine: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, cores: int, engine: EngineName = "whisper") -> "Subject":
        """Fetch the model where it is not here; `engine`: of a directory. Raises `ModelUnavailable`."""
        layout = layouts.of_name(name, engine, "auto")
        model = store.fetch(name, None, lambda _: None, layout)
        with layout.weights(model).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(name, model, sha256, machine.describe(cores))

    @property
    def cpu(self) -> dict[str, Any]:
        """What of the machine decides a text. Without caps there is no word of them, as in results of before them."""
        told = {name: self.machine[name] for name in ("cpu", "flags")}
        return told | ({"caps": self.machine["caps"]} if self.machine["caps"] else {})

    def results(self, name: str) -> Results:
        """Those of one mode, in the user's cache: the next run goes on there."""
        return Results(voices.cache().parent / "accuracy" / self.sha256[:12] / f"{name}.jsonl")

    def head(self) -> dict[str, Any]:
        """What a page begins with."""
        today = datetime.now(UTC).date().isoformat()
        return {"machine": self.machine, "date": today, "model": self.name, "sha256": self.sha256}
