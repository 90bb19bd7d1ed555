"""A messenger's day: its hours, its lengths, its arrivals; and what notes cost: the line, the file."""

from pathlib import Path
from statistics import fmean

import pytest

from sttd.sizing import profile as profiles
from sttd.sizing.profile import Profile, ProfileError, Row, fit
from sttd.sizing.simulation import Note
from sttd.sizing.traffic import Day, Lengths, hour_shares


@pytest.mark.parametrize("peak", [0.043, 0.09, 0.2, 0.6])
def test_the_busiest_hour_has_the_share_that_was_asked_for(peak: float) -> None:
    """And the day has all its notes."""
    shares = hour_shares(peak)
    assert len(shares) == 24
    assert max(shares) == pytest.approx(peak, rel=1e-3)
    assert sum(shares) == pytest.approx(1.0)


@pytest.mark.parametrize("peak", [0.0, 1 / 24, 1.0])
def test_a_day_whose_peak_is_below_the_average_is_refused(peak: float) -> None:
    """24 hours cannot all be below a 24th."""
    with pytest.raises(ValueError, match="peak hour"):
        hour_shares(peak)


@pytest.mark.parametrize("mean", [5.0, 12.0, 40.0])
def test_lengths_have_the_mean_that_was_asked_for(mean: float) -> None:
    """Although the cut at 3 and 60 s moves it."""
    day = Day(20_000, 0.09, Lengths.with_mean(mean))
    lengths = [note.seconds for note in day.busiest(3_600, 1)]
    assert fmean(lengths) == pytest.approx(mean, rel=0.08)
    assert min(lengths) >= 3
    assert max(lengths) <= 60


def test_impossible_lengths_are_refused() -> None:
    """A mean of 90 s with notes of at most 60."""
    with pytest.raises(ValueError, match="between 3 and 60"):
        Lengths.with_mean(90)


def test_a_day_has_its_notes_in_order_and_its_peak_in_the_evening() -> None:
    """The same seed gives the same day, another one another."""
    day = Day(20_000, 0.09, Lengths.with_mean(12))
    notes = day.whole(1)
    evening = sum(20 * 3_600 <= note.at < 21 * 3_600 for note in notes)
    assert len(notes) == pytest.approx(20_000, rel=0.06)
    assert notes == sorted(notes)
    assert evening / len(notes) == pytest.approx(0.09, rel=0.1)
    assert day.whole(1) == notes != day.whole(2)


def profile(*rows: Row) -> Profile:
    """A profile with these rows."""
    return Profile(
        name="x", machine="m", model="base", engine="e", beam_size=5, slots=1, measured="2026-01-01", rows=rows
    )


def made(window: float, second: float) -> Profile:
    """A profile whose notes cost exactly that."""
    lengths = (3.0, 10.0, 30.0, 60.0)
    engine = [window * profiles.windows_of(seconds) + second * seconds for seconds in lengths]
    return profile(*(Row(seconds=s, decode=0.0, engine=e, wall=e) for s, e in zip(lengths, engine, strict=True)))


def worst_fit(found: Profile) -> float:
    """The largest relative difference between line and table."""
    return max(abs(found.core(row.seconds) / row.core - 1) for row in found.rows)


def test_the_line_finds_the_cost_of_windows_and_seconds() -> None:
    """Measured rows on a line give that line back, and a note of 45 s pays two windows."""
    found = made(0.6, 0.075)
    assert found.line == pytest.approx((0.6, 0.075))
    assert worst_fit(found) < 1e-9
    assert found.cost(Note(0.0, 45.0)).windows == pytest.approx((2.2875, 2.2875))


def test_no_cost_is_ever_negative() -> None:
    """Rows that would give a negative share get none of it."""
    assert min(fit([(1.0, 3.0), (0.5, 30.0)])) >= 0
    assert min(fit([(1.0, 3.0), (4.0, 10.0)])) >= 0


def test_a_saved_profile_is_read_back(tmp_path: Path) -> None:
    """What --save wrote, --profile reads."""
    made(0.6, 0.075).save(tmp_path / "here.json")
    assert profiles.load(tmp_path / "here.json") == made(0.6, 0.075)


@pytest.mark.parametrize("content", [None, "", "{}", '{"rows": [{"seconds": -1}]}', "\udcff"])
def test_a_file_that_is_no_profile_is_told_with_the_next_step(tmp_path: Path, content: str | None) -> None:
    """Missing, empty, other JSON, no text."""
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ProfileError, match="sttd size --measure --save"):
        profiles.load(path)


def test_the_built_in_profile_is_a_line() -> None:
    """Window and second explain base's measured rows to within a tenth; it names its model and its machine."""
    built_in = profiles.built_in()
    assert worst_fit(built_in) < 0.1
    assert "base" in built_in.name
    assert built_in.machine
