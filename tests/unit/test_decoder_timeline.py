"""Holes in a file's packet times keep their place; clocks that shake, drift, begin anew or are absent make none."""

from collections.abc import Sequence

import pytest

from sttd.consumer.audio.child.packet_times import SoundTimeline

MS = 0.001
FRAME = 0.02


def holes(clocks: Sequence[int | None], *, origin: float = 0.0, tick: float = MS) -> list[float]:
    """The silence before each frame of 20 ms at these ticks of the clock."""
    axis, position, found = SoundTimeline(tick, origin), 0.0, list[float]()
    for clock in clocks:
        found.append(round(axis.hole_before(clock, FRAME, position), 3))
        position += found[-1] + FRAME
    return found


@pytest.mark.parametrize(
    ("what", "clocks", "expected"),
    [
        ("steady", [0, 20, 40, 60], [0, 0, 0, 0]),
        ("shaking", [0, 35, 38, 75, 80], [0, 0, 0, 0, 0]),
        ("a hole", [0, 20, 6040, 6060], [0, 0, 6, 0]),
        ("two holes", [0, 200, 220, 1000], [0, 0.18, 0, 0.76]),
        ("silent", [None, None], [0, 0]),
        ("beginning late", [5000, 5020], [5, 0]),
        ("beginning anew", [8000, 8020, 0, 20, 140], [8, 0, 0, 0, 0.1]),
        ("going back a little", [0, 20, 10, 30], [0, 0, 0, 0]),
    ],
)
def test_a_clock_makes_only_the_holes_that_are_in_it(
    what: str, clocks: list[int | None], expected: list[float]
) -> None:
    """In seconds of silence before each frame."""
    assert holes(clocks) == expected, what


def test_a_hole_ends_where_the_clock_says_even_after_a_drift() -> None:
    """A clock that went a tenth too slow for ten seconds is right again behind the next pause."""
    clocks = [*range(0, 9_000, 18), 12_000]
    found = holes(clocks)
    assert found[:-1] == [0] * 500
    assert sum(found) + 500 * FRAME == pytest.approx(12.0)


def test_the_axis_begins_where_it_is_told_to() -> None:
    """A recording from the middle of a stream begins at any number."""
    assert holes([3_600_000, 3_600_020, 3_601_000], origin=3_600.0) == [0, 0, 0.96]


def test_without_a_clock_there_are_no_holes() -> None:
    """Raw MP3 and AAC have none; what FFmpeg counts up there jumps where bytes are damaged."""
    assert holes([0, 20, 6040], tick=0.0) == [0, 0, 0]
