"""The model of a demo or `make run`: STTD_MODEL, else the real `base`, else, with a line on stderr, the bundled one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sttd.commands.demo.report import BUNDLED
from sttd.commands.model import brought, layout_of
from sttd.commands.terminal import say

if TYPE_CHECKING:
    from sttd.consumer.settings import Settings

REAL: Final = "base"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model that is on this machine. `name`: for STTD_MODEL; `cache`: for STTD_MODEL_CACHE."""

    name: str
    cache: Path | None
    engine: str = "whisper"

    def environment(self) -> dict[str, str]:
        """The settings, fit for a process in another directory."""
        from sttd.consumer.engine.files import layouts  # noqa: PLC0415 - the base install has no daemon

        directory = Path(self.name).expanduser()
        own = self.name not in {layouts.DEMO, *layouts.SIZES} and directory.is_dir()
        model = {"STTD_ENGINE": self.engine, "STTD_MODEL": str(directory.absolute()) if own else self.name}
        return model | ({"STTD_MODEL_CACHE": str(self.cache.absolute())} if self.cache else {})


def choose(settings: Settings) -> Chosen:
    """Make sure that a model is here, downloaded if need be.

    Raises `ModelUnavailable` for one that was asked for by name.
    """
    from sttd.consumer.errors import ModelUnavailable  # noqa: PLC0415 - the base install has no daemon

    cache = settings.model_cache
    if "model" in settings.model_fields_set:
        brought(settings.model, cache, layout_of(settings.model, settings))
        return Chosen(settings.model, cache, settings.engine)
    try:
        brought(REAL, cache, layout_of(REAL, settings))
    except ModelUnavailable as error:
        say(f"taking the bundled model, which knows a few phrases only: {error.message}")
        return Chosen(BUNDLED, cache)
    return Chosen(REAL, cache)
