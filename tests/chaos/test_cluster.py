"""A cluster of three: whichever node dies, stands still or is cut off, nothing is lost and the others are used."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from sttd.blocking import BlockingClient
from tests.chaos.cluster_rig import ClusterRig
from tests.chaos.profile import Profile
from tests.support.cluster import SIZE
from tests.support.notes import short_notes, spoken


@dataclass(frozen=True)
class Outage:
    """One node's fault.

    `leads`, `serves`: whether that node leads the request queue, and whether the daemon consumes from it.
    """

    kind: str
    begin: Callable[[ClusterRig, int], object]
    leads: bool
    serves: bool
    silent: bool = False  # lasts the profile's `hold`, and no connection is closed by it

    def victim(self, rig: ClusterRig) -> int:
        """Choose the node, and have the daemon on it or elsewhere, as is wanted."""
        leader = rig.leader
        others = [number for number in range(SIZE) if number != leader]
        if not self.leads:
            return rig.serve_from(*others)
        rig.serve_from(*([leader] if self.serves else others))
        return leader


def _kill(rig: ClusterRig, number: int) -> None:
    rig.cluster.kill(number)


def _freeze(rig: ClusterRig, number: int) -> None:
    rig.cluster.freeze(number)


def _isolate(rig: ClusterRig, number: int) -> None:
    rig.cluster.isolate(number)


OUTAGES = (
    Outage("leader killed, the daemon on it", _kill, leads=True, serves=True),
    Outage("leader killed, the daemon elsewhere", _kill, leads=True, serves=False),
    Outage("follower killed, the daemon on it", _kill, leads=False, serves=True),
    Outage("leader stopped (SIGSTOP), the daemon on it", _freeze, leads=True, serves=True, silent=True),
    Outage("leader stopped (SIGSTOP), the daemon elsewhere", _freeze, leads=True, serves=False, silent=True),
    Outage("partition: leader alone, the daemon on it", _isolate, leads=True, serves=True, silent=True),
    Outage("partition: leader alone, the daemon elsewhere", _isolate, leads=True, serves=False, silent=True),
    Outage("partition: follower alone, the daemon on it", _isolate, leads=False, serves=True, silent=True),
)


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.kind)
def test_the_daemon_consumes_from_another_node(cluster_rig: ClusterRig, profile: Profile, outage: Outage) -> None:
    """One node of three is lost: the daemon works while it is away, and nothing is lost when it is back."""
    rig = cluster_rig
    rig.load.flow.set()
    for _ in range(profile.faults):
        victim = outage.victim(rig)
        if outage.silent:
            rig.cluster.avoid(victim)
            rig.move_reader()
        rig.pause(0.5, 2.0)
        with rig.outage(outage.kind):
            began = time.time()
            outage.begin(rig, victim)
            rig.measure(outage.kind, began)
            if outage.silent:
                rig.sleep_until(began + profile.hold)
    rig.settle()


def test_publishes_wait_while_two_of_three_are_dead(cluster_rig: ClusterRig, profile: Profile) -> None:
    """Without a majority nothing is confirmed; what was confirmed before is answered when they are back."""
    rig, kind = cluster_rig, "two of three killed"
    rig.load.flow.set()
    for _ in range(profile.faults):
        rig.pause(0.5, 2.0)
        first = rig.dice.randrange(SIZE)
        with rig.outage(kind):
            rig.cluster.kill(first, second := rig.another(first))
            rig.pause(2.0, 6.0)
            confirmed = rig.ledger.confirmed()
            rig.pause(2.0, 6.0)
            assert rig.ledger.confirmed() == confirmed
            rig.cluster.start(first, second)
            rig.measure(kind, time.time())
    rig.settle()


def test_a_daemon_shut_in_with_one_node_serves_again_after_the_partition(
    cluster_rig: ClusterRig, profile: Profile
) -> None:
    """It reaches the minority only, where nobody can serve; times count from the end of the partition."""
    rig, kind = cluster_rig, "partition: the daemon shut in with one node"
    rig.load.flow.set()
    for _ in range(profile.faults):
        victim = rig.serving
        rig.cluster.avoid(victim)
        rig.move_reader()
        rig.pause(0.5, 2.0)
        with rig.outage(kind):
            began = time.time()
            rig.cluster.isolate(victim)
            for number, proxy in enumerate(rig.proxies):
                if number != victim:
                    proxy.stall()
            rig.sleep_until(began + profile.hold)
            rig.cluster.heal()
            for proxy in rig.proxies:
                proxy.resume()
            rig.measure(kind, time.time())
    rig.settle()


def test_a_rolling_restart_costs_one_reconnect_per_node(cluster_rig: ClusterRig, profile: Profile) -> None:
    """Each node is stopped in order and started again before the next: times are those of each stop."""
    rig = cluster_rig
    rig.load.flow.set()
    for _ in range(profile.faults):
        for number in range(SIZE):
            with rig.outage("rolling restart"):
                began = time.time()
                rig.nodes[number].stop()
                rig.measure("one node of a rolling restart", began)
    rig.settle()


@pytest.mark.parametrize("begin", [_kill, _isolate], ids=["killed", "cut off"])
def test_a_clients_calls_are_answered_while_its_node_is_lost(
    cluster_rig: ClusterRig, profile: Profile, begin: Callable[[ClusterRig, int], object]
) -> None:
    """The client goes to another node, and finds its reply queue there: it waits for no node to come back."""
    rig, name = cluster_rig, "client of the cluster"
    kind = f"the node of a client {'killed' if begin is _kill else 'cut off'}"
    for _ in range(profile.faults):
        with ThreadPoolExecutor() as calls, BlockingClient(rig.daemon_url, name=name, timeout=rig.patience) as client:
            opened = time.time()
            victim = rig.node_of(name)
            # For a reply queue younger than one look of its failure detector RabbitMQ elects no leader for a minute.
            rig.sleep_until(opened + 1.5 * profile.poll / 1000)
            notes = short_notes()[:4]
            texts = [calls.submit(client.transcribe, note.path, language=note.language) for note in notes[:2]]
            with rig.outage(kind):
                began = time.time()
                begin(rig, victim)
                texts += [calls.submit(client.transcribe, note.path, language=note.language) for note in notes[2:]]
                assert [spoken(text.result().text) for text in texts] == [spoken(note.text) for note in notes]
                rig.results.add(kind, None, time.time() - began)
