"""Long audio: where it is cut, and who transcribes which window. No model, no sound."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sttd.consumer.engine.glue import Span
from sttd.consumer.engine.windows import SLIVER, Helpers, LongNote, evenly_cut, joined, length, pack, without_slivers
from sttd.consumer.errors import JobStopped
from sttd.consumer.pcm import SAMPLE_RATE
from sttd.schemas.reply import Segment
from tests.support.waiting import PATIENCE, wait_for

SPANS = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 80)), max_size=30).map(
    lambda pairs: [
        (start, start + length)
        for start, length in zip(
            [sum(gap + length for gap, length in pairs[:number]) + pairs[number][0] for number in range(len(pairs))],
            [length for _, length in pairs],
            strict=True,
        )
    ]
)


def segment(start: float, end: float, text: str) -> Segment:
    """A segment of the reply."""
    return Segment(id=0, start=start, end=end, text=text, avg_logprob=-0.1, no_speech_prob=0.0, compression_ratio=1.0)


@given(SPANS, st.integers(10, 60), st.integers(0, 50))
def test_windows_hold_all_speech_once_in_order_and_none_is_too_long(
    spans: list[Span], longest: int, farthest: int
) -> None:
    """Nothing is lost between two windows, nothing is transcribed twice, and no window reaches over a pause."""
    packed = pack(spans, longest, farthest)
    assert all(after[0] - before[1] <= farthest for window in packed for before, after in pairwise(window))
    assert [sample for window in packed for start, end in window for sample in range(start, end)] == [
        sample for start, end in spans for sample in range(start, end)
    ]
    assert all(0 < sum(end - start for start, end in window) <= longest for window in packed)
    assert all(before[-1][1] <= after[0][0] for before, after in pairwise(packed))


def test_a_window_takes_as_much_as_fits() -> None:
    """Each costs a full encoder pass, so they are filled."""
    assert pack([(0, 10), (12, 20), (25, 40), (50, 52)], 30, 10) == [((0, 10), (12, 20)), ((25, 40), (50, 52))]


WINDOW = 30 * SAMPLE_RATE
LENGTHS = st.lists(st.integers(1, 25 * SAMPLE_RATE), min_size=1, max_size=4)


def spans_of(lengths: list[int]) -> tuple[Span, ...]:
    """Parts of these lengths, a second apart."""
    starts = [sum(lengths[:number]) + SAMPLE_RATE * number for number in range(len(lengths))]
    return tuple((start, start + size) for start, size in zip(starts, lengths, strict=True))


def noise(samples: int) -> np.ndarray:
    """A sound without a pause."""
    return np.random.default_rng(1).normal(0, 0.1, samples).astype(np.float32)


@given(LENGTHS)
@settings(max_examples=30)
def test_windows_that_are_cut_evenly_hold_everything_once_and_none_is_a_sliver(lengths: list[int]) -> None:
    """Of 31 s Whisper would read the last second alone, with 29 s of padding."""
    spans = spans_of(lengths)
    parts = evenly_cut(spans, noise(spans[-1][1]), WINDOW)
    assert sum(map(length, parts)) == sum(lengths)
    assert [part[0][0] for part in parts] == sorted(part[0][0] for part in parts)
    assert max(map(length, parts)) <= WINDOW
    assert len(parts) == 1 or min(map(length, parts)) > SLIVER
    touching = [span for part in parts for span in part]
    assert all(before[1] <= after[0] for before, after in pairwise(touching))
    assert all(any(first <= start and end <= last for first, last in spans) for start, end in touching)


def test_a_cut_goes_through_the_pause() -> None:
    """A word that is cut in two is lost, or comes twice."""
    sound = noise(31 * SAMPLE_RATE)
    pause = (13 * SAMPLE_RATE, 13 * SAMPLE_RATE + SAMPLE_RATE // 5)
    sound[slice(*pause)] = 0
    ((first,), (second,)) = evenly_cut(((0, sound.size),), sound, WINDOW)
    assert first[1] == second[0]
    assert pause[0] < first[1] < pause[1]


@pytest.mark.parametrize(
    ("windows", "joined_as"),
    [
        ([((0, 29),), ((30, 32),)], "two halves"),
        ([((0, 20),), ((21, 23),)], "one"),
        ([((0, 29),), ((30, 40),)], "as they are"),
        ([((0, 29),), ((60, 62),)], "as they are"),  # said alone, after a pause
        ([((0, 2),), ((3, 20),)], "as they are"),  # a sliver before is no rest
    ],
)
def test_a_sliver_is_joined_with_the_window_before(windows: list[tuple[Span, ...]], joined_as: str) -> None:
    """The windows of long audio are filled from the front: what is left for the last may be half a second."""
    given = [tuple((start * SAMPLE_RATE, end * SAMPLE_RATE) for start, end in window) for window in windows]
    found = without_slivers(given, noise(62 * SAMPLE_RATE), WINDOW, 3 * SAMPLE_RATE)
    assert sum(map(length, found)) == sum(map(length, given))
    if joined_as == "two halves":
        assert len(found) == 2
        assert min(map(length, found)) > 2 * SLIVER
    else:
        assert found == (given if joined_as == "as they are" else [(*given[0], *given[1])])


def test_segments_are_joined_in_order_as_far_as_no_window_is_missing() -> None:
    """Progress shows a text that only ever grows at its end."""
    first, second, third = ([segment(n, n + 1, f" {n}")] for n in range(3))
    assert [part.text for part in joined([first, None, third])] == [" 0"]
    assert [(part.id, part.text) for part in joined([first, second, [], third])] == [(0, " 0"), (1, " 1"), (2, " 2")]


class Recorder:
    """Transcribes by noting which thread did which window, and how many did one at a time."""

    def __init__(self) -> None:
        self.done: dict[int, str] = {}
        self.at_once = self.most = 0
        self._lock = threading.Lock()
        self.gather: threading.Barrier | None = None

    def __call__(self, index: int) -> None:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        if self.gather is not None:
            self.gather.wait(PATIENCE)
        with self._lock:
            self.at_once -= 1
            self.done[index] = threading.current_thread().name


@pytest.fixture
def helpers() -> Iterator[Helpers]:
    """Two helping threads, as with three slots."""
    crew = Helpers(2)
    yield crew
    crew.close()


def test_one_long_note_fills_all_slots_and_no_more(helpers: Helpers) -> None:
    """Its own thread and the helping ones, at the same time."""
    record = Recorder()
    record.gather = threading.Barrier(3)
    helpers.transcribe(LongNote(9, record, lambda: 1.0))
    assert sorted(record.done) == list(range(9))
    assert (record.most, len(set(record.done.values()))) == (3, 3)


def test_without_helpers_a_note_does_its_windows_itself() -> None:
    """One slot: one thread, in order."""
    record = Recorder()
    Helpers(0).transcribe(LongNote(3, record, lambda: 1.0))
    assert list(record.done.items()) == [(number, threading.current_thread().name) for number in range(3)]


def test_helpers_go_to_the_note_with_least_audio_left() -> None:
    """Ten minutes are not shared out between two hour-long files."""
    crew, inside, go_on = Helpers(1), threading.Event(), threading.Event()
    helped: list[str] = []

    def work(name: str) -> None:
        if threading.current_thread().name.startswith("window"):
            helped.append(name)
            inside.set()
        assert go_on.wait(PATIENCE)

    hour = LongNote(4, lambda _: work("hour"), lambda: 3600.0)
    minutes = LongNote(4, lambda _: work("minutes"), lambda: 600.0)
    with ThreadPoolExecutor(2) as own:
        first = own.submit(crew.transcribe, hour)
        assert inside.wait(PATIENCE)
        second = own.submit(crew.transcribe, minutes)
        wait_for(lambda: len(crew._open) == 2, "second note", poll=0.002)
        go_on.set()
        first.result(PATIENCE)
        second.result(PATIENCE)
    assert helped[0] == "hour"
    assert "minutes" not in helped or helped.index("minutes") == 1
    crew.close()


def test_a_window_that_fails_ends_the_note_with_its_error_and_begins_no_other(helpers: Helpers) -> None:
    """The message is answered by what went wrong; threads do not go on for a lost cause."""
    begun: list[int] = []

    def fail(index: int) -> None:
        begun.append(index)
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        helpers.transcribe(LongNote(100, fail, lambda: 1.0))
    assert len(begun) <= 3
    record = Recorder()
    helpers.transcribe(LongNote(3, record, lambda: 1.0))
    assert len(record.done) == 3


def test_a_note_is_not_over_while_a_helper_works_on_it(helpers: Helpers) -> None:
    """Its failure, too, waits until no thread reads its sound any more."""
    inside, failed, go_on = threading.Event(), threading.Event(), threading.Event()

    def work(_: int) -> None:
        if threading.current_thread().name.startswith("window"):
            inside.set()
            assert go_on.wait(PATIENCE)
        else:
            assert inside.wait(PATIENCE)
            failed.set()
            raise ArithmeticError

    with ThreadPoolExecutor(1) as own:
        running = own.submit(helpers.transcribe, LongNote(9, work, lambda: 1.0))
        assert failed.wait(PATIENCE)
        assert not running.done()
        go_on.set()
        assert isinstance(running.exception(PATIENCE), ArithmeticError)


def test_after_the_close_no_help_comes(helpers: Helpers) -> None:
    """The daemon stops: a late job ends like a stopped one."""
    helpers.close()
    with pytest.raises(JobStopped):
        helpers.transcribe(LongNote(2, Recorder(), lambda: 1.0))
