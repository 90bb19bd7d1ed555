"""The planner: which waiting call starts next, and with whom. The clock is a number."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pytest

from sttd.consumer.engine.schedule.planner import BULK_EVERY, OVERTAKING, PATIENCE, TURNS, Call, Planner, Start, Window


@dataclass
class Note:
    """A message as the planner sees it."""

    remaining: float = 3.0
    lane: str = "interactive"
    caller: str | None = None


def call(
    planner: Planner[Call],
    now: float,
    remaining: float = 3.0,
    *,
    lane: str = "interactive",
    caller: str | None = None,
    kind: Hashable = None,
    gathers: Hashable = None,
    begins: bool = False,
) -> Call:
    """A call of a note of its own, waiting from now on."""
    added = Call(Note(remaining, lane, caller), Window(now), kind, gathers, begins)
    planner.add(added, now)
    return added


def alone(starts: list[Start[Call]]) -> list[Call]:
    """The calls of starts that are not batches."""
    return [only for start in starts for (only,) in [start.calls]]


def played(planner: Planner[Call]) -> list[Call]:
    """All that waits, one after the other."""
    order = []
    while starts := planner.take(100):
        order += alone(starts)
        planner.done(starts[0])
    return order


def test_calls_start_until_the_slots_are_full_and_one_more_for_each_that_ends() -> None:
    """Never more calls at a time than cores."""
    planner = Planner[Call](2)
    calls = [call(planner, 0) for _ in range(4)]
    first = planner.take(0)
    assert (alone(first), planner.take(0), planner.running) == (calls[:2], [], 2)
    planner.done(first[0])
    assert alone(planner.take(1)) == [calls[2]]
    assert planner.waiting == (calls[3],)


def test_of_calls_that_wait_equally_long_the_one_with_least_audio_left_goes_first() -> None:
    """A voice note does not wait for a lecture."""
    planner = Planner[Call](1)
    hour, minutes, lecture, note = (call(planner, 0, seconds) for seconds in (3600, 200, 3000, 3))
    order = []
    while starts := planner.take(0):
        order += alone(starts)
        planner.done(starts[0])
    assert order == [note, minutes, lecture, hour]


def test_equals_go_in_the_order_in_which_they_came() -> None:
    """Fair among notes of one length."""
    planner = Planner[Call](1)
    calls = [call(planner, 0) for _ in range(3)]
    for expected in calls:
        (start,) = planner.take(0)
        assert start.calls == (expected,)
        planner.done(start)


def test_what_is_left_is_asked_when_it_is_decided_not_when_it_came() -> None:
    """A long file that is nearly done counts as short."""
    planner = Planner[Call](1)
    ending, other = call(planner, 0, 600), call(planner, 0, 30)
    assert isinstance(ending.work, Note)
    ending.work.remaining = 1.0
    assert alone(planner.take(0)) == [ending]
    assert planner.waiting == (other,)


@pytest.mark.parametrize(("later", "first"), [(600 / OVERTAKING - 5.1, "short"), (PATIENCE + 0.1, "long")])
def test_waiting_makes_up_for_length(later: float, first: str) -> None:
    """Short notes may pass a long file's call for so many seconds, and not a moment longer."""
    planner = Planner[Call](1)
    long = call(planner, 0, 600)
    short = call(planner, later, 0)
    assert alone(planner.take(later)) == [{"long": long, "short": short}[first]]


def test_a_window_that_has_begun_goes_on_before_the_next_note_of_its_length() -> None:
    """Eight equal notes are answered one after the other, not all of them at the end."""
    planner = Planner[Call](1)
    waiting = call(planner, 1.0)
    decoding = Call(Note(), Window(0.5))  # its encoder call came first, and has run meanwhile
    planner.add(decoding, 2.0)
    assert alone(planner.take(2.0)) == [decoding]
    assert planner.waiting == (waiting,)


def test_bulk_starts_only_when_nobody_else_waits() -> None:
    """A backfill uses what is left over, however short its files and however long they have waited."""
    planner = Planner[Call](1)
    bulk, interactive = call(planner, 0, 1, lane="bulk"), call(planner, 60, 3600)
    (start,) = planner.take(60)
    assert start.calls == (interactive,)
    planner.done(start)
    assert alone(planner.take(60)) == [bulk]


def test_of_ten_starts_one_is_bulks_while_it_waits() -> None:
    """And it moves, however many notes there are."""
    planner = Planner[Call](1)
    for _ in range(40):
        call(planner, 0)
    for _ in range(3):
        call(planner, 0, lane="bulk")
    lanes = []
    while starts := planner.take(0):
        lanes.append(starts[0].calls[0].work.lane)
        planner.done(starts[0])
    assert [position for position, lane in enumerate(lanes[:30]) if lane == "bulk"] == [
        BULK_EVERY * turn - 1 for turn in (1, 2, 3)
    ]
    assert len(lanes) == 43


def test_overflow_is_served_between_the_two_and_gets_every_tenth_start() -> None:
    """What one caller has too much of waits for other callers' notes, but not behind a backfill."""
    planner = Planner[Call](1)
    for lane in ("bulk", "overflow", "interactive"):
        for _ in range(12):
            call(planner, 0, lane=lane)
    order = played(planner)
    assert [place for place, one in enumerate(order) if one.work.lane == "overflow"][:3] == [10, 14, 15]
    assert [place for place, one in enumerate(order) if one.work.lane == "bulk"][:3] == [9, 19, 26]


def test_callers_go_by_turns_and_each_gives_its_shortest_first() -> None:
    """A thousand notes of one chat do not make the other wait for more than one of them (issue 18)."""
    planner = Planner[Call](1)
    flood = [call(planner, 0, seconds, caller="many") for seconds in (30, 9, 3)]
    few = [call(planner, 20, seconds, caller="few") for seconds in (3, 60)]
    nobody = call(planner, 20)
    assert played(planner) == [flood[2], few[0], nobody, flood[1], few[1], flood[0]]


def test_with_one_caller_there_are_no_turns() -> None:
    """Its short note passes its own long file, as without a key."""
    planner = Planner[Call](1)
    window = Window(0)
    first = Call(Note(600, caller="one"), window)
    planner.add(first, 0)
    (start,) = planner.take(0)
    planner.done(start)
    rest = Call(first.work, window)
    planner.add(rest, 1)
    short = call(planner, 1, 0, caller="one")
    assert played(planner) == [short, rest]


def test_a_window_that_has_begun_goes_on_by_the_turn_that_it_had() -> None:
    """A note of a caller who comes rarely waits for one call before it is encoded and one before it is decoded."""
    planner = Planner[Call](1)
    call(planner, 0, caller="many")
    (running,) = planner.take(0)
    flood = [call(planner, 0, caller="many") for _ in range(3)]
    window = Window(1)
    encode = Call(Note(caller="few"), window)
    planner.add(encode, 1)
    planner.done(running)
    (start,) = planner.take(1)
    assert start.calls == (encode,)
    planner.done(start)
    (start,) = planner.take(1)
    assert start.calls == (flood[0],)
    generate = Call(encode.work, window)
    planner.add(generate, 2)
    planner.done(start)
    assert alone(planner.take(2)) == [generate]


def test_a_caller_is_passed_by_so_many_newcomers_and_no_more() -> None:
    """A day on which each note is a new caller's does not starve the one who has sent two."""
    planner = Planner[Call](1)
    call(planner, 0, caller="many")
    (start,) = planner.take(0)
    planner.done(start)
    second = call(planner, 0, caller="many")
    for number in range(2 * TURNS):
        call(planner, 1, caller=f"new-{number}")
    assert played(planner).index(second) == TURNS


def test_a_call_that_is_removed_never_starts() -> None:
    """Its message was cancelled while it waited."""
    planner = Planner[Call](1)
    gone, stays = call(planner, 0), call(planner, 0)
    planner.remove(gone)
    assert alone(planner.take(0)) == [stays]
    with pytest.raises(ValueError, match="not in list"):
        planner.remove(stays)


def test_what_does_not_run_cannot_end() -> None:
    """A slot that is freed twice would be one slot too many."""
    planner = Planner[Call](1)
    call(planner, 0)
    (start,) = planner.take(0)
    planner.done(start)
    with pytest.raises(KeyError):
        planner.done(start)


def test_an_idle_gpu_starts_at_once_with_what_is_there() -> None:
    """One note alone never waits for company."""
    planner = Planner[Call](2, batch=4, hold=0.02)
    calls = tuple(call(planner, 0, kind="encode") for _ in range(3))
    (start,) = planner.take(0)
    assert start.calls == calls


def test_while_the_gpu_is_at_work_calls_wait_for_company_but_not_for_long() -> None:
    """Until the batch is full, the time is over, or the GPU is idle; `wait` gives the time of the next check."""
    planner = Planner[Call](2, batch=3, hold=0.02)
    call(planner, 0, kind="encode")
    (first,) = planner.take(0)

    early = call(planner, 1.0, kind="encode")
    late = call(planner, 1.015, kind="encode")
    assert planner.take(1.015) == []
    assert planner.wait(1.015) == pytest.approx(0.005)
    (timed,) = planner.take(1.0201)
    assert timed.calls == (early, late)
    assert planner.wait(1.0201) is None
    planner.done(timed)

    full = tuple(call(planner, 2.0, kind="encode") for _ in range(3))
    (whole,) = planner.take(2.0)
    assert whole.calls == full
    planner.done(whole)

    rest = call(planner, 3.0, kind="encode")
    assert planner.take(3.0) == []
    planner.done(first)
    assert alone(planner.take(3.0)) == [rest]


def test_only_calls_of_one_kind_go_together_and_calls_without_one_go_alone() -> None:
    """Other options, another prompt length, an alignment: no batch of ctranslate2 can hold them."""
    planner = Planner[Call](8, batch=4, hold=0.0)
    kinds = ["encode", ("generate", 3), "encode", None, ("generate", 4), ("generate", 3), None]
    calls = [call(planner, 0, kind=kind) for kind in kinds]
    batches = [tuple(calls.index(member) for member in start.calls) for start in planner.take(0)]
    assert batches == [(0, 2), (1, 5), (3,), (4,), (6,)]


def test_a_full_batch_does_not_wait_behind_one_that_is_held() -> None:
    """Company for one kind is no reason to keep another waiting."""
    planner = Planner[Call](3, batch=2, hold=10.0)
    call(planner, 0, kind="detect")
    planner.take(0)
    held = call(planner, 1, 1.0, kind="encode")
    full = (call(planner, 1, 9.0, kind="generate"), call(planner, 1, 9.0, kind="generate"))
    (start,) = planner.take(1)
    assert start.calls == full
    assert planner.waiting == (held,)


def test_bulk_rides_along_in_a_batch_with_room() -> None:
    """A place in a batch costs the others nothing."""
    planner = Planner[Call](1, batch=3, hold=0.0)
    bulk, interactive = call(planner, 0, kind="encode", lane="bulk"), call(planner, 1, kind="encode")
    (start,) = planner.take(1)
    assert start.calls == (interactive, bulk)


def test_short_windows_are_opened_until_a_batch_of_them_is_full() -> None:
    """Four short notes decoded as one batch need 0.6 of the core time of four alone."""
    planner = Planner[Call](1, batch=3)
    decode = call(planner, 0, kind="generate", gathers=500)
    others = [call(planner, 1, gathers=500, begins=True) for _ in range(3)]
    batch = [decode]
    for opening in others[:2]:
        (start,) = planner.take(1)
        assert start.calls == (opening,)
        planner.done(start)
        batch.append(call(planner, 1, kind="generate", gathers=500))
    (together,) = planner.take(1)
    assert together.calls == tuple(batch)


@pytest.mark.parametrize(("last", "opens"), [(("many", "few"), True), (("few", "many"), False)])
def test_windows_are_opened_for_a_batch_by_turns_of_callers(last: tuple[str, str], *, opens: bool) -> None:
    """A rare caller's decoding waits for no second window of the one with many."""
    planner = Planner[Call](1, batch=3)
    windows = {}
    for caller in last:
        encode = call(planner, 0, gathers=500, begins=True, caller=caller)
        (start,) = planner.take(0)
        planner.done(start)
        windows[caller] = encode.window
    decode = Call(Note(caller="few"), windows["few"], "generate", 500)
    planner.add(decode, 1)
    opener = call(planner, 1, gathers=500, begins=True, caller="many")
    call(planner, 1, gathers=500, begins=True, caller="few")
    assert alone(planner.take(1)) == [opener if opens else decode]


@pytest.mark.parametrize(
    "other", [{"gathers": 650}, {"gathers": 500, "lane": "bulk"}, {"now": PATIENCE + 0.1, "gathers": 500}, {}]
)
def test_a_call_that_gathers_does_not_wait_for_windows_that_cannot_go_with_it(other: dict[str, Any]) -> None:
    """Another length, another lane, or a note that came too late: its turn comes later."""
    planner = Planner[Call](1, batch=3)
    decode = call(planner, 0, kind="generate", gathers=500)
    call(planner, **{"now": 0, "begins": True, **other})
    assert alone(planner.take(PATIENCE)) == [decode]
