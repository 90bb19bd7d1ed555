"""The plot of the curve as SVG: `python -m bench.plots RESULTS.json FOLDER`, where matplotlib is.

Standard library and matplotlib only, and bench.figures.
"""

import json
import sys
from pathlib import Path

from bench import figures


def main(path: Path, folder: Path) -> None:
    """Core seconds of a note over its length. `path`: the curve's figures."""
    import matplotlib as mpl  # noqa: PLC0415 - only in the environment of the benchmark

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "sttd"  # the same figures give the same file
    from matplotlib import pyplot as plt  # noqa: PLC0415 - the same

    found = json.loads(path.read_text(encoding="utf-8"))
    figure, axes = plt.subplots(figsize=(9, 5))
    axes.set_title(f"core seconds of a note by its length, {found['model']}, {found['machine']['cpu']}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", alpha=0.25)
    for peer, row in found["curve"].items():
        at, middles = [float(seconds) for seconds in row], [figures.spread(values)["median"] for values in row.values()]
        wide = 2.5 if peer.startswith("ours") else 1.2
        axes.plot(at, middles, marker="o", linewidth=wide, label=found["titles"][peer])
    axes.set_xlabel("seconds of audio")
    axes.set_ylabel("core seconds")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(folder / "curve.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
