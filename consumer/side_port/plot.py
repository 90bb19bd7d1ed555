"""Small plots as inline SVG, drawn on the server: no script, no style attribute, so the page's policy can be strict.

Pure; numbers in, markup out. Colours come from the page's style sheet by class.
"""

from collections.abc import Sequence
from typing import Final

WIDTH: Final = 300
HEIGHT: Final = 72
STEPS: Final = (1, 1.2, 1.6, 2, 2.5, 3, 4, 5, 6, 8, 10)


def ceiling(values: Sequence[float | None], least: float = 1.0) -> float:
    """The top of the scale: the next round number that holds every value and `least`, a quarter higher at most."""
    top = max([least, *(value for value in values if value is not None)])
    power = 1.0
    while power * 10 < top:
        power *= 10
    return next(step * power for step in STEPS if step * power >= top)


def line(values: Sequence[float | None], *, top: float, points: int, name: str) -> str:
    """One line of a plot, newest value at the right edge; `None` is a gap.

    `top`: the value at the upper edge; `points`: across the whole width; `name`: its class. Returns SVG.
    """
    drawn = []
    for run in _runs(values, points):
        xy = [(WIDTH * place / (points - 1), HEIGHT - HEIGHT * min(value, top) / top) for place, value in run]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in xy)
        drawn.append(f'<path class="{name} area" d="{path}L{xy[-1][0]:.1f} {HEIGHT}L{xy[0][0]:.1f} {HEIGHT}Z"/>')
        # A single point has no length; a square cap makes it visible.
        drawn.append(f'<path class="{name} line" d="{path}{"h0.1" if len(xy) == 1 else ""}"/>')
    return "".join(drawn)


def svg(lines: Sequence[str], label: str) -> str:
    """A plot of these lines; `label` is read out to those who cannot see it."""
    grid = f'<path class="grid" d="M0 {HEIGHT / 2}H{WIDTH}M0 .5H{WIDTH}M0 {HEIGHT - 0.5}H{WIDTH}"/>'
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{label}">'
    return f"{head}{grid}{''.join(lines)}</svg>"


def _runs(values: Sequence[float | None], points: int) -> list[list[tuple[int, float]]]:
    """Stretches without a gap, as (place, value)."""
    runs: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values, start=points - len(values)):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((place, value))
    return [run for run in runs if run]
