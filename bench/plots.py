"""Plots of a comparison or of the curve, as SVG: `python -m bench.plots RESULTS.json FOLDER`, where matplotlib is.

Standard library and matplotlib only, and bench.figures.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import figures


def main(path: Path, folder: Path) -> None:
    """One file for each kind of plot. `path`: a comparison, or the curve."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if "curve" in found:
        _by_length(found, folder / "curve.svg")
        return
    clients = sorted((load for load in found["plan"]["loads"] if load.startswith("closed:")), key=_amount)
    if len(clients) > 1:
        _curves(found, clients, "notes_per_second", "notes per second", folder / f"{path.stem}-throughput.svg")
        label = "p95 from asking to answer, in seconds"
        _curves(found, clients, "p95", label, folder / f"{path.stem}-latency.svg")
    if clients:
        busiest = "closed:8" if "closed:8" in clients else clients[-1]
        _bars(found, busiest, folder / f"{path.stem}-core-seconds.svg")


def _by_length(found: dict[str, Any], path: Path) -> None:
    """Core seconds of a note over its length."""
    figure, axes = _axes(f"core seconds of a note by its length, {found['model']}, {found['machine']['cpu']}")
    for peer, row in found["curve"].items():
        at, middles = [float(seconds) for seconds in row], [figures.spread(values)["median"] for values in row.values()]
        wide = 2.5 if peer.startswith("ours") else 1.2
        axes.plot(at, middles, marker="o", linewidth=wide, label=found["titles"][peer])
    axes.set_xlabel("seconds of audio")
    axes.set_ylabel("core seconds")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    _save(figure, path)


def _axes(title: str) -> tuple[Any, Any]:
    import matplotlib as mpl  # noqa: PLC0415 - only in the environment of the benchmark

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "sttd"  # the same figures give the same file
    from matplotlib import pyplot as plt  # noqa: PLC0415 - the same

    figure, axes = plt.subplots(figsize=(9, 5))
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", alpha=0.25)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _curves(found: dict[str, Any], loads: list[str], name: str, label: str, path: Path) -> None:
    """Median of the rounds over clients; the shade is from the lowest to the highest."""
    figure, axes = _axes(f"{label} by clients ({found['plan']['notes']} notes)")
    for peer, samples in found["samples"].items():
        points = [(_amount(load), figures.spread(_values(samples[load], name))) for load in loads if load in samples]
        at = [clients for clients, _ in points]
        wide = 2.5 if peer.startswith("ours") else 1.2
        (line,) = axes.plot(
            at, [spread["median"] for _, spread in points], marker="o", linewidth=wide, label=found["titles"][peer]
        )
        axes.fill_between(
            at, [s["low"] for _, s in points], [s["high"] for _, s in points], color=line.get_color(), alpha=0.15
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks([_amount(load) for load in loads], [str(_amount(load)) for load in loads])
    axes.set_xlabel("clients")
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    _save(figure, path)


def _bars(found: dict[str, Any], load: str, path: Path) -> None:
    """Core seconds of a note: what a busy neighbour troubles least."""
    figure, axes = _axes(f"core seconds of a note, {_amount(load)} clients ({found['plan']['notes']} notes)")
    rows = {
        peer: figures.spread(_values(samples[load], "core_seconds_per_note"))
        for peer, samples in found["samples"].items()
    }
    ordered = sorted(rows, key=lambda peer: -rows[peer]["median"])
    middles = [rows[peer]["median"] for peer in ordered]
    spreads = [
        [m - rows[p]["low"] for m, p in zip(middles, ordered, strict=True)],
        [rows[p]["high"] - rows[p]["median"] for p in ordered],
    ]
    axes.barh([found["titles"][peer] for peer in ordered], middles, xerr=spreads, color="tab:blue", alpha=0.8)
    axes.set_xlabel("core seconds")
    _save(figure, path)


def _values(rounds: Iterable[dict[str, Any]], name: str) -> list[float]:
    found = (one["latency"][name] if name in one["latency"] else one[name] for one in rounds)
    return [value for value in found if value is not None]


def _amount(load: str) -> int:
    return int(load.partition(":")[2])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
