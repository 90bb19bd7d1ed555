"""The rig around a cluster of three: where leader and daemon are, how long no daemon consumed, whether all is whole.

Times count from the moment when a fault began, for it goes on meanwhile.
"""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pika

from tests.chaos.profile import Profile
from tests.chaos.results import Results
from tests.chaos.rig import Rig
from tests.support.cluster import SIZE, Cluster
from tests.support.load import LOST, Request, Requests
from tests.support.waiting import POLL, Deadline

QUEUE = "stt.requests"
ASK_FIRST = 0.5  # s between the first two requests that look whether anybody serves; twice as long each time
ELECTED = 16.0  # s; who asks to be a consumer while a leader is replaced has no answer for half a minute
CONSUMER = "sttd consume "


class ClusterRig(Rig):
    """A rig whose broker is a cluster. Each node's faults are told to the `cluster` itself."""

    def __init__(self, cluster: Cluster, profile: Profile, folder: Path, results: Results) -> None:
        super().__init__(cluster.nodes, cluster, profile, folder, results)
        self.cluster = cluster
        self._asked = Requests(f"ask-{self.dice.randrange(10**6)}", profile.seed)

    def mend(self) -> None:
        """Undo every fault and wait until all three nodes carry the request queue again."""
        for proxy in self.proxies:
            proxy.resume()
        self.cluster.mend()
        self.wait_until(self._whole, "whole cluster")

    def _whole(self) -> bool:
        # The management API is just coming up.
        with contextlib.suppress(OSError, LookupError, RuntimeError, ValueError, http.client.HTTPException):
            found = self.broker.queue(QUEUE)
            return len(found.get("online", ())) == SIZE and found.get("leader") in found["online"]
        return False

    @property
    def serving(self) -> int:
        """Which node the daemon consumes from, once the management API knows."""
        return self.node_of(CONSUMER, self._last("bus_lost"))  # older connections are still shown for a while

    def node_of(self, connection: str, since: float = 0.0) -> int:
        """Which node has the connection whose name begins so, made after `since` (epoch seconds)."""
        found: list[str] = []

        def known() -> bool:
            found[:] = [
                told["node"]
                for told in self.broker.connections()
                if str((told.get("client_properties") or {}).get("connection_name")).startswith(connection)
                and told["connected_at"] / 1000 > since
            ]
            return len(found) == 1

        self.wait_until(known, f"sight of the connection {connection}")
        return self.cluster.number(found[0])

    def _last(self, action: str) -> float:
        """When (epoch seconds) the daemon last said this of its consuming connection; 0 if never."""
        told = [line["timestamp"] for line in self.daemon.lines(action) if line["role"] == "consume"]
        return datetime.fromisoformat(told[-1]).timestamp() if told else 0.0

    def _keep_queues(self) -> None:
        """Each fault begins seconds later: they are on disk then."""

    @property
    def leader(self) -> int:
        return self.cluster.number(str(self.broker.queue(QUEUE)["leader"]))

    def serve_from(self, *numbers: int) -> int:
        """Reset the daemon's connections until it consumes from one of these nodes; returns which.

        It goes to another node each time. To move the leader instead would take a rabbitmqctl of several seconds.
        """
        while (serving := self.serving) not in numbers:
            with self.ledger.fault("connections reset"):
                cut = time.time()
                self.proxies[serving].cut()
                self.wait_until(partial(self._connected_since, cut), "another connection")
        return serving

    def _connected_since(self, moment: float) -> bool:
        return self._last("bus_connected") > moment

    def another(self, *numbers: int) -> int:
        """Draw a node that is none of these."""
        return self.dice.choice([number for number in range(SIZE) if number not in numbers])

    def move_reader(self) -> None:
        """Have the reader read from a well node: what it holds on a silent one would not come."""
        self.reader.again()
        self.wait_until(lambda: not self.reader.renewing, "another connection of the reader")

    def measure(self, kind: str, began: float) -> None:
        """Wait until a request is answered that was asked after `began` (epoch seconds).

        How long that took, and how long no daemon consumed, are figures of the run.
        """
        self.forget_watcher()
        self._ask_until_served(began)
        served = time.time() - began
        self.wait_consumer()
        self.results.add(kind, self._without_consumer(began), served)

    def _ask_until_served(self, began: float) -> None:
        deadline = Deadline(self.patience)
        pause, due = ASK_FIRST, 0.0
        while not self.ledger.answered_since(began):
            assert not deadline.passed, f"nobody serves{self._tail()}"
            if time.time() > due:
                pause, due = pause * 2, time.time() + pause
                if pause > ELECTED:  # RabbitMQ may have lost the reader's consumer with the leader, and says nothing
                    self.reader.again()
                threading.Thread(target=self._ask, args=(self._asked.plain(),), daemon=True).start()
            time.sleep(POLL)

    def _ask(self, request: Request) -> None:
        """One request through a well node; the load may wait at another.

        Not waited for: RabbitMQ owes the confirm, and the end of the connection, for a minute when it handed the
        request to a leader that is lost.
        """
        parameters = pika.URLParameters(self.broker.amqp_url)
        parameters.heartbeat = parameters.socket_timeout = parameters.stack_timeout = 5
        with contextlib.suppress(*LOST), pika.BlockingConnection(parameters) as connection:  # a node that is being hurt
            self.load.send(connection.channel(), request)

    def _without_consumer(self, began: float) -> float:
        """Seconds until the daemon consumed from a node that serves; 0 if it never lost its own."""
        return max(0.0, self._last("bus_connected") - began)

    @contextlib.contextmanager
    def outage(self, kind: str) -> Iterator[None]:
        """Wait, after the block, until everything is as before: all nodes carry the queue and the daemon consumes."""
        with self.ledger.fault(kind):
            yield
            self.mend()
            self.wait_consumer()
            self.wait_answers(1)
