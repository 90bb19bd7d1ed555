"""Capacity per core by note length: base's exact shape, text in proportion to the note, both encoders.

Core seconds of the process, so that a shared machine disturbs little. Writes the profile that `sttd size` comes with.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench import workload
from bench.settings import PlainSettings
from sttd.commands.size.measure import LENGTHS, measure
from sttd.sizing.profile import WINDOW_SECONDS, Profile

TOKENS_A_SECOND: Final = 5.0
"""Of Russian speech, roughly: two and a half words a second, two tokens a word."""

ENCODERS: Final = ("openvino", "ctranslate2")


async def capacity(encoder: str, size: str, lengths: Sequence[float], rounds: int, slots: int) -> Profile:
    """One row for each length, each with a model whose text is as long as that of such a note."""
    found: list[Profile] = []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in lengths:
            words = round(TOKENS_A_SECOND * min(seconds, WINDOW_SECONDS))
            directory = Path(folder) / f"{size}-{words}"
            if not directory.exists():
                workload.build(workload.SIZES[size], directory, words=words)
            model = str(directory)
            settings = PlainSettings(model=model, encoder=encoder, slots=slots)  # type: ignore[arg-type]  # argparse
            # Two lengths, because a profile has two rows at least; only this one is of the right script.
            found.append(await measure(settings, lengths=(seconds, seconds + 1), rounds=rounds))
    rows = tuple(profile.rows[0] for profile in found)
    name = f"{size}'s shape, beam 5, {encoder} encoder"
    return found[0].model_copy(
        update={"name": name, "model": f"{size} (random weights, {TOKENS_A_SECOND:g} tokens a second)", "rows": rows}
    )


def show(profiles: Sequence[Profile]) -> Table:
    """Core seconds, notes a core can do in an hour, and wall time, by length."""
    table = Table(title=f"load {os.getloadavg()[0]:.1f} at the end", title_justify="left")
    for column in (
        "encoder",
        "note",
        "decode",
        "engine",
        "core s a note",
        "line",
        "notes a core-hour",
        "audio s a core s",
        "wall s",
    ):
        table.add_column(column, justify="right")
    for profile in profiles:
        for row in profile.rows:
            figures = (row.decode, row.engine, row.core, profile.core(row.seconds))
            table.add_row(
                profile.name,
                f"{row.seconds:g} s",
                *(f"{figure:.3f}" for figure in figures),
                f"{3600 / row.core:,.0f}",
                f"{row.seconds / row.core:.1f}",
                f"{row.wall:.2f}",
            )
    return table


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=workload.SIZES, default="base")
    parser.add_argument("--encoder", choices=ENCODERS, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--save", type=Path, help="folder for one profile per encoder")
    given = parser.parse_args()
    profiles = []
    for encoder in given.encoder or ENCODERS:
        profile = asyncio.run(capacity(encoder, given.size, LENGTHS, given.rounds, given.slots))
        profiles.append(profile)
        if given.save:
            profile.save(given.save / f"{given.size}-{encoder}.json")
    Console(width=160).print(show(profiles))


if __name__ == "__main__":
    main()
