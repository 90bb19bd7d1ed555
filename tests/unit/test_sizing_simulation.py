"""The simulated queue against queueing theory, and against the rules of RabbitMQ and the planner."""

import math
import random
from collections import Counter
from collections.abc import Callable
from statistics import fmean

import pytest

from sttd.sizing.autoscaler import Autoscaler, Replicas
from sttd.sizing.simulation import Cost, Fleet, Note, percentile, simulate

NOTES = 20_000


def poisson(rate: float, count: int = NOTES, seed: int = 3) -> list[Note]:
    """So many notes of 3 s at so many a second."""
    chance, at = random.Random(seed), 0.0
    return [Note(at := at + chance.expovariate(rate), 3.0) for _ in range(count)]


def exponential(mean: float) -> Callable[[Note], Cost]:
    """Work of random length without memory."""
    chance = random.Random(5)
    return lambda _note: Cost(0.0, (chance.expovariate(1 / mean),))


def constant(seconds: float) -> Callable[[Note], Cost]:
    """The same work for each note."""
    return lambda _note: Cost(0.0, (seconds,))


def erlang_wait(rate: float, mean: float, servers: int) -> float:
    """Mean waiting time of M/M/c in seconds: Erlang's C formula."""
    load = rate * mean
    full = load**servers / math.factorial(servers) * servers / (servers - load)
    waits = full / (sum(load**k / math.factorial(k) for k in range(servers)) + full)
    return waits * mean / (servers - load)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (4, 0.7)])
@pytest.mark.parametrize("slots", [True, False], ids=["slots of one consumer", "consumers with one note in hand"])
def test_random_work_waits_as_erlang_says(servers: int, load: float, slots: bool) -> None:
    """M/M/c: mean waits are those of Erlang's formula.

    Whether the servers are slots or consumers that hold one note each.
    """
    fleet = Fleet(1, servers, 1_000_000) if slots else Fleet(servers, 1, 1)
    run = simulate(poisson(servers * load), exponential(1.0), fleet)
    wait = fmean(answer.begun - answer.at for answer in run.answers)
    assert wait == pytest.approx(erlang_wait(servers * load, 1.0, servers), rel=0.15)
    assert run.utilisation == pytest.approx(load, rel=0.03)


def test_the_tail_of_one_server_is_exponential() -> None:
    """M/M/1: the time to the answer is exponential with rate mu - lambda, so its p95 is known exactly."""
    run = simulate(poisson(0.6), exponential(1.0), Fleet(1))
    assert run.percentile(0.95) == pytest.approx(-math.log(0.05) / 0.4, rel=0.12)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_constant_work_waits_half_as_long_as_random_work(load: float) -> None:
    """M/D/1: Pollaczek and Khinchine give the mean wait of equal work exactly."""
    run = simulate(poisson(load), constant(1.0), Fleet(1))
    assert fmean(answer.begun - answer.at for answer in run.answers) == pytest.approx(load / (2 * (1 - load)), rel=0.1)


def test_constant_work_on_several_servers_waits_as_cosmetatos_says() -> None:
    """M/D/c: the known approximation, good to a few percent."""
    servers, load = 4, 0.8
    factor = 0.5 * (1 + (1 - load) * (servers - 1) * (math.sqrt(4 + 5 * servers) - 2) / (16 * load * servers))
    run = simulate(poisson(servers * load), constant(1.0), Fleet(servers, 1, 1))
    wait = fmean(answer.begun - answer.at for answer in run.answers)
    assert wait == pytest.approx(factor * erlang_wait(servers * load, 1.0, servers), rel=0.1)


def test_a_deeper_prefetch_makes_notes_wait_behind_a_busy_consumer() -> None:
    """What RabbitMQ has handed out cannot go to an idle consumer: the price of the prefetch shows in the tail."""
    notes = poisson(3.0, 10_000)
    p95 = [simulate(notes, exponential(1.0), Fleet(4, 1, prefetch)).percentile(0.95) for prefetch in (1, 4)]
    assert p95[1] > 1.1 * p95[0]


def test_equal_consumers_get_equal_shares() -> None:
    """The broker serves those with room by turns."""
    shares = Counter(answer.consumer for answer in simulate(poisson(2.0, 4_000), constant(1.0), Fleet(4)).answers)
    assert min(shares.values()) > 0.23 * 4_000


def test_a_short_note_overtakes_the_windows_of_a_long_one() -> None:
    """The planner's order: a 3 s note waits for the window that runs, not for the file."""
    notes = [Note(0.0, 60.0), Note(0.5, 3.0)]
    run = simulate(notes, lambda note: Cost(0.0, (2.0, 2.0) if note.seconds > 30 else (1.0,)), Fleet(1, 1, 4))
    assert {answer.seconds: answer.answered for answer in run.answers} == {3.0: 3.0, 60.0: 5.0}


def test_beside_a_flood_other_callers_wait_for_one_note_of_it_at_most_if_keys_tell_them_apart() -> None:
    """One slot, notes of 1 s: a hundred of one caller, then one every 5 s of another."""
    others = [Note(5.0 * number + 0.5, 3.0, "few") for number in range(1, 10)]
    notes = sorted([*[Note(0.0, 3.0, "many")] * 100, *others])
    told = simulate(notes, constant(1.0), Fleet(1)).answers
    assert max(answer.latency for answer in told if answer.at > 0) <= 2.0
    assert max(answer.answered for answer in told) == 109.0
    nameless = simulate([note._replace(caller=None) for note in notes], constant(1.0), Fleet(1)).answers
    assert min(answer.latency for answer in nameless if answer.at > 0) > 60


def test_work_that_begins_on_a_crowded_machine_takes_longer() -> None:
    """`slowness` is how a measured neighbour gets into the simulation."""
    run = simulate(
        [Note(0.0, 3.0), Note(10.0, 3.0)],
        constant(1.0),
        Fleet(1),
        slowness=lambda at, _at_work: 3.0 if at >= 10 else 1.0,
    )
    assert [answer.latency for answer in run.answers] == [1.0, 3.0]


def test_slots_that_share_a_core_slow_each_other_down() -> None:
    """Two consumers on one core have no more capacity than one; work beside other work is slowed accordingly."""
    notes = [Note(0.0, 3.0), Note(0.5, 3.0), Note(20.0, 3.0)]
    run = simulate(notes, constant(1.0), Fleet(2), slowness=lambda _at, at_work: float(at_work))
    assert [answer.latency for answer in run.answers] == [1.0, 2.0, 1.0]


def test_the_autoscaler_brings_more_when_notes_wait_and_fewer_when_none_do() -> None:
    """A burst: consumers come after their start time, and go one by one once it is calm."""
    notes = [*(Note(0.01 * n, 3.0) for n in range(400)), Note(1_500.0, 3.0)]
    rules = Autoscaler(most=8, start_seconds=20)
    alone = simulate(notes, constant(1.0), Fleet(1))
    scaled = simulate(notes, constant(1.0), Fleet(1), rules)
    assert scaled.most == 8
    assert scaled.percentile(0.95) < 0.5 * alone.percentile(0.95)
    assert scaled.there < 8 * 1_500.0


def test_replicas_double_at_most_and_leave_one_at_a_time() -> None:
    """The policies of the ScaledObject: +100 % or +2 in 30 s, -1 in 60 s after 300 s of calm."""
    replicas = Replicas(Autoscaler(most=100), 1)
    assert [replicas.wanted(at, 1_000) for at in (0, 15, 30, 45, 60)] == [3, 3, 6, 6, 12]
    assert [replicas.wanted(at, 0) for at in (75, 345, 375, 390, 435)] == [12, 12, 11, 11, 10]


def test_equal_notes_give_equal_answers() -> None:
    """Nothing is drawn inside: a plan can be made again."""
    notes = poisson(1.0, 500)
    assert simulate(notes, constant(0.5), Fleet(2)).answers == simulate(notes, constant(0.5), Fleet(2)).answers


def test_percentiles_are_interpolated() -> None:
    """Between two neighbours; of nothing there is none."""
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
