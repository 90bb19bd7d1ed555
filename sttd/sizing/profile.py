"""The cost of notes on a machine: a measured table, the line through it, and the file that keeps it.

Measures nothing itself (sttd/commands/size does).
"""

import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sttd.sizing.simulation import Cost, Note

WINDOW_SECONDS: Final = 30.0
"""Whisper reads 30 s at a time; a shorter window is encoded as a whole one."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ProfileError(Exception):
    """A profile that cannot be used; the text is for a person."""


class Row(BaseModel):
    """One length, medians: core seconds in decoder and engine; `wall`: seconds in the engine with all slots at work."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: Positive
    decode: Seconds
    engine: Positive
    wall: Positive

    @property
    def core(self) -> float:
        """Core seconds of one note."""
        return self.decode + self.engine


class Profile(BaseModel):
    """A machine with a model, and what a note of each length costs there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    machine: str
    model: str
    engine: str
    beam_size: int
    slots: Annotated[int, Field(ge=1)]
    measured: str
    rows: Annotated[tuple[Row, ...], Field(min_length=2)]

    def cost(self, note: Note) -> Cost:
        """A note's way through a slot, on a core of its own.

        The decoder's share goes into the slot: it needs a core too.
        """
        windows = windows_of(note.seconds)
        core = self.core(note.seconds)
        return Cost(0.0, (core / windows,) * windows)

    def core(self, seconds: float) -> float:
        """Core seconds of a note of that length."""
        window, second = self.line
        return window * windows_of(seconds) + second * seconds

    @property
    def line(self) -> tuple[float, float]:
        """Core seconds for each window and for each second of sound.

        Least squares of the relative error, neither below zero.
        """
        return fit([(windows_of(row.seconds) / row.core, row.seconds / row.core) for row in self.rows])

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises `OSError`."""
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def windows_of(seconds: float) -> int:
    """How many windows a note of that length takes."""
    return max(1, math.ceil(seconds / WINDOW_SECONDS))


def fit(rows: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The `(x, y)`, neither negative, for which `x * a + y * b` is nearest to 1 over all rows `(a, b)`."""
    aa, bb, ab = (
        sum(map(math.prod, products)) for products in zip(*(((a, a), (b, b), (a, b)) for a, b in rows), strict=True)
    )
    a1, b1 = (sum(column) for column in zip(*rows, strict=True))
    alone = [(a1 / aa, 0.0), (0.0, b1 / bb)]
    determinant = aa * bb - ab * ab
    both = (
        [((a1 * bb - b1 * ab) / determinant, (b1 * aa - a1 * ab) / determinant)]
        if determinant > 1e-12 * aa * bb
        else []
    )
    allowed = [found for found in (*both, *alone) if min(found) >= 0]
    return min(allowed, key=lambda found: sum((found[0] * a + found[1] * b - 1) ** 2 for a, b in rows))


def load(path: Path) -> Profile:
    """A profile that `save` wrote. Raises `ProfileError` with the next step."""
    again = "measure one with `sttd size --measure --save FILE`"
    try:
        return Profile.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}; {again}") from None
    except (ValidationError, UnicodeDecodeError) as error:
        what = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            if isinstance(error, ValidationError)
            else "no text"
        )
        raise ProfileError(f"{path} is no profile ({what}); {again}") from None


def built_in() -> Profile:
    """The profile that comes with the package: base's shape on the machine that docs/scaling.md names."""
    return Profile.model_validate_json((resources.files(__package__) / "base.json").read_text(encoding="utf-8"))
