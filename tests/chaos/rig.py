"""One chaos run's machinery: a vhost on a private node, a proxy, the daemon's lives, the load, the reader, the ledger.

Detects that the daemon serves again; the faults are in faults.py.
"""

import contextlib
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pika

from sttd.samples import samples
from tests.chaos.profile import Profile
from tests.chaos.results import Results
from tests.support.broker import Broker, Endpoint
from tests.support.daemon import DaemonProcess
from tests.support.ledger import Balance, Ledger, balance_line
from tests.support.load import LOST, REPLIES, Load, Reader, Requests
from tests.support.notes import spoken
from tests.support.proxy import Proxy
from tests.support.waiting import PATIENCE, wait_for
from tools.rabbitmq import Node

DRAIN_SECONDS = 10  # the daemon's grace time in these runs
SETTLE_SECONDS = 300.0  # s for the last answers, retry tiers of 10 and 60 s included
OURS = tuple(
    """
    stt.requests stt.requests.overflow stt.requests.bulk stt.suspect stt.retry.10s stt.retry.60s stt.retry.600s
    """.split()
)
SHORTEST_WORD = 5  # letters; shorter ones may be in a log by chance
BUGS = frozenset({"settle_failed", "request_crashed", "part_ended", "startup_error"})
"""Actions of log lines that no fault excuses."""


class Rig:
    """Everything around one ledger. A `with` block ends with nothing left running; `settle` checks the books first."""

    patience = 5 * PATIENCE  # s for one wait: broker, daemon and load share the machine with other work

    def __init__(
        self, nodes: Sequence[Node], endpoint: Endpoint, profile: Profile, folder: Path, results: Results
    ) -> None:
        """`endpoint`: how others reach the broker, which is these nodes.

        `folder` gets the books and one log per life of a daemon.
        """
        self.nodes = nodes
        self.profile = profile
        self.results = results
        self.dice = random.Random(f"{profile.seed} {results.test}")
        self.broker = Broker(endpoint)
        self.ledger = Ledger(folder / "ledger.sqlite")
        self._folder = folder
        self.proxies = [Proxy(("127.0.0.1", urlsplit(node.amqp_url).port or 5672)) for node in nodes]
        self._watcher: pika.BlockingConnection | None = None
        self.lives: list[DaemonProcess] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as parts:
            parts.enter_context(self.broker)
            for proxy in self.proxies:
                parts.enter_context(proxy)
            parts.callback(self._end_lives)
            self.start()
            self.wait_consumer()
            self.broker.declare(
                REPLIES, x_queue_type="quorum"
            )  # as the reader does: here, so that a broker killed at once has it
            self._keep_queues()
            self.requests = Requests(f"{self.results.test[:20]}-{self.dice.randrange(10**6)}", self.profile.seed)
            self.load = Load(lambda: self.broker.amqp_url, self.ledger, self.requests, self.profile.rate)
            self.reader = Reader(lambda: self.broker.amqp_url, self.ledger)
            for thread in (self.load, self.reader):
                thread.start()
                parts.callback(thread.stop)
            parts.callback(self.mend)
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._parts.close()
        self.ledger.close()

    def _keep_queues(self) -> None:
        """A broker that is killed at once has them then."""
        self.node.flush()

    def _end_lives(self) -> None:
        self.forget_watcher()
        for life in self.lives:
            life.close()

    def mend(self) -> None:
        self.node.thaw()
        if self.node.pid is None:
            self.node.start()

    @property
    def node(self) -> Node:
        """The broker, where it is one node."""
        return self.nodes[0]

    @property
    def proxy(self) -> Proxy:
        """The daemon's way to it."""
        return self.proxies[0]

    @property
    def daemon(self) -> DaemonProcess:
        """The present life."""
        return self.lives[-1]

    @property
    def daemon_url(self) -> str:
        """The broker as the daemon sees it: through the proxies."""
        who, vhost = f"{self.broker.user}:{self.broker.password}", self.broker.vhost
        return ",".join(f"amqp://{who}@127.0.0.1:{proxy.port}/{vhost}" for proxy in self.proxies)

    def start(self, **settings: str) -> DaemonProcess:
        """Begin a new life of the daemon, without waiting for it."""
        # To compare encoders at each start would take longer than most lives.
        wanted = {"slots": "2", "drain_seconds": str(DRAIN_SECONDS), "encoder": "ctranslate2", "join": "own"}
        wanted |= {"worker": f"life-{len(self.lives)}"} | settings
        life = DaemonProcess(self.daemon_url, self._folder / f"daemon-{len(self.lives)}.log", **wanted)
        self.lives.append(life.start())
        return life

    def pause(self, least: float, most: float) -> None:
        """Let the load run for a random time."""
        time.sleep(self.dice.uniform(least, most))

    def sleep_until(self, moment: float) -> None:
        """Let the load run until this moment (epoch seconds)."""
        time.sleep(max(0.0, moment - time.time()))

    @contextlib.contextmanager
    def fault(self, kind: str, promised: float, *, crash: bool = False, silent: bool = False) -> Iterator[None]:
        """Inflict one fault in the `with` block, which ends when the broker is reachable and the daemon may go on.

        Then wait until service is back. How many seconds that took is a figure of the run; more than `promised` is
        printed with it, and fails nothing: a busy machine proves nothing about the daemon (issue 11). `crash`: the
        daemon dies of it; losing a connection is no death and must never make `poison` of a request. `silent`: the
        fault is not noticed yet, so only an answer to a new request proves anything.
        """
        with self.ledger.fault(kind, crash=crash):
            yield
            began, asked = time.monotonic(), time.time()
            self.wait_consumer()
            back = time.monotonic() - began
            self.wait_answers(1, asked)
            served = time.monotonic() - began
            self.results.add(kind, served if silent else back, served)
        seconds = served if silent else back
        if seconds > promised:
            self.results.said.append(f"{kind}: service was back after {seconds:.1f} s; promised are {promised:g} s")

    def wait_consumer(self) -> None:
        """Wait until the daemon is ready and the broker counts its consumer."""
        self.wait_until(lambda: self.consumers() > 0 and self._ready(), "consumer")

    def wait_answers(self, count: int, since: float | None = None) -> None:
        """Wait until so many requests after `since` (epoch seconds), or from now on, have their answers."""
        asked = since or time.time()
        if self.load.flow.is_set():
            self.wait_until(lambda: self.ledger.answered_since(asked) >= count, "answers")

    def wait_quiet(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until the load rests, every confirmed request has ended and no queue of the daemon holds anything.

        A busy machine may take long: what is waited for is that some requests end in each `seconds`. `flow` is cleared
        by the caller. The load comes first: what it has not confirmed yet is in no count.
        """
        left, before = self.ledger.outstanding(), sys.maxsize
        while not self._quiet():
            assert left < before, f"nothing ended in {seconds:g} s{self._tail()}"
            with contextlib.suppress(AssertionError):
                self.wait_until(self._quiet, "quiet", seconds)
            left, before = self.ledger.outstanding(), left

    def _quiet(self) -> bool:
        return self.load.resting and not self.ledger.outstanding() and not self.queued()

    def wait_until(self, predicate: Callable[[], object], what: str, seconds: float | None = None) -> None:
        """Wait until this is true; a failure names what is missing, with the last lines of daemon and broker."""

        def found() -> object:
            ended = self.daemon.running.poll()
            if not (seen := predicate()):
                assert ended is None, f"the daemon ended with {ended} before {what}{self._tail()}"
            return seen

        wait_for(found, what, self.patience if seconds is None else seconds, words=self._tail)

    def _tail(self) -> str:
        return (
            f"; {self.ledger.outstanding()} outstanding, depths {self.depths()}\nthe daemon's last "
            f"words:\n{self.daemon.log[-2500:]}\n"
            f"the broker's:\n{self._broker_log(60)}\nbooks: {self.ledger.path}"
        )

    def _broker_log(self, lines: int) -> str:
        return "\n".join(node.log_tail(lines) for node in self.nodes)

    def _ready(self) -> bool:
        try:
            return bool(self.daemon.lines("side_port")) and self.daemon.ready()
        except OSError:  # it is just being killed
            return False

    def consumers(self) -> int:
        """Consumers that the broker counts on the request queue; 0 while it does not answer."""
        return self._declared("stt.requests")[1]

    def queued(self) -> int:
        """Messages ready in the daemon's own queues."""
        return sum(self.depths().values())

    def depths(self) -> dict[str, int]:
        """Messages ready, by queue, where there are any."""
        return {name: depth for name in OURS if (depth := self._declared(name)[0])}

    def _declared(self, name: str) -> tuple[int, int]:
        try:
            if self._watcher is None:
                parameters = pika.URLParameters(self.broker.amqp_url)
                parameters.heartbeat = parameters.socket_timeout = parameters.stack_timeout = (
                    parameters.blocked_connection_timeout
                ) = 3
                self._watcher = pika.BlockingConnection(parameters)
            channel = self._watcher.channel()
            answer = channel.queue_declare(name, passive=True).method
            channel.close()
        except LOST:
            self.forget_watcher()
            return 0, 0
        return answer.message_count, answer.consumer_count

    def forget_watcher(self) -> None:
        """Look through another connection from now on."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            with contextlib.suppress(*LOST):
                watcher.close()

    def settle(self, seconds: float = SETTLE_SECONDS) -> Balance:
        """Stop the load, let everything end, and balance the books and the logs. Raises `AssertionError`.

        Where nothing ends any more in so many seconds, all that daemon and reader hold goes back to its queue.
        """
        self.load.flow.clear()
        try:
            self.wait_quiet(seconds)
            self.wait_until(lambda: self.daemon.metric("sttd_requests_in_flight") == 0, "end of the last duplicate")
        except AssertionError:  # the ledger's check is better: it names what is missing
            self._hand_back()
        try:
            balance = self.ledger.check(set(self._held()))
        finally:
            self.check_logs()
        self.results.keep(balance)
        done = [line["outcome"] for life in self.lives for line in life.lines("request_done")]
        self.results.measured["moved to overflow"] = done.count("moved")
        self.results.said.append(balance_line(balance))
        return balance

    def _hand_back(self) -> None:
        self.daemon.close()
        self.reader.stop()
        wait_for(
            lambda: not any(self._declared(name)[1] for name in OURS), "hand-back", self.patience, words=self._tail
        )

    def _held(self) -> Iterator[str]:
        for name in (*OURS, *self.reader.queues):
            for message in self.broker.get(name, 10_000):
                yield str(message.properties.correlation_id or message.properties.message_id)

    def check_logs(self) -> None:
        """No password, no speech and no bug of ours in any log."""
        words = {
            word
            for sample in samples()
            if not sample.only
            for word in spoken(sample.text)
            if len(word) >= SHORTEST_WORD
        }
        assert "unknown delivery tag" not in self._broker_log(100_000), (
            "a delivery was settled twice, or on another channel"
        )
        for life in self.lives:
            log = life.log
            assert self.broker.password not in log, f"the password is in {life._log_path}"
            found = words & set(spoken(log))
            assert not found, f"words of a transcript are in {life._log_path}: {found}"
            bugs = [
                line for line in map(json.loads, log.splitlines()) if line.get("action") in BUGS or "exception" in line
            ]
            assert not bugs, f"a bug in {life._log_path}: {bugs[0]}"
