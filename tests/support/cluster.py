"""Three RabbitMQ nodes as one cluster on loopback, which can be cut apart.

Each node has a port mapper (epmd) of its own, as every private node. The others' names are registered there with the
port of a proxy in front of that node: everything between two nodes goes through proxies, without any privilege. A proxy
that stands still is a network that loses everything: the bytes wait, as TCP would send them again.
"""

import contextlib
import itertools
import random
import secrets
import socket
import struct
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

from tests.support.proxy import Proxy
from tools.rabbitmq import Node
from tools.rabbitmq.node import DEFAULT_BASE
from tools.rabbitmq.plan import LOOPBACK, Identity

SIZE: Final = 3
ALIVE2, NORMAL, TCP, VERSION = 120, 77, 0, 6
"""A registration in the protocol of epmd: request, kind of node, transport, version of the distribution."""

AGAIN: Final = 0.05  # s until a registration is tried again: its node's epmd is down, or just comes up


class Cluster:
    """Three private nodes of one version. What a test does to them is undone by `mend`; `close()` removes all."""

    def __init__(self, base: Path = DEFAULT_BASE, poll: int = 5000) -> None:
        """Claim everything; nothing is started yet.

        `poll`: milliseconds between two looks of a node at the others; 5,000 is RabbitMQ's default.
        """
        members, cookie = Identity.draw(SIZE), secrets.token_hex(10)
        settings = {"cluster_formation.peer_discovery_backend": "classic_config"}
        settings |= {"raft.adaptive_failure_detector.poll_interval": str(poll)}
        settings |= {
            f"cluster_formation.classic_config.nodes.{number}": member.name for number, member in enumerate(members)
        }
        self._open = contextlib.ExitStack()
        self.nodes: list[Node] = []
        for member in members:
            node = Node(base, settings, identity=member)
            self._open.callback(node.close)
            self.nodes.append(node)
            _put_cookie(node.directory / ".erlang.cookie", cookie)
        self._frozen: set[int] = set()
        self._alone: set[int] = set()
        self._ways: dict[tuple[int, int], Proxy] = {}

    def __enter__(self) -> Self:
        try:
            for here, there in itertools.permutations(range(SIZE), 2):
                proxy = self._open.enter_context(Proxy((LOOPBACK, self.nodes[there].plan.dist_port)))
                self._ways[here, there] = proxy
                self._open.enter_context(_Introduction(self.nodes[here], self.nodes[there].plan.name, proxy.port))
            self._start(range(SIZE))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End all nodes and remove their directories."""
        self._open.close()

    @property
    def well(self) -> list[int]:
        """Numbers of the nodes that run and see a majority, as far as this object's own faults go."""
        standing = [number for number, node in enumerate(self.nodes) if node.pid and number not in self._frozen]
        return [number for number in standing if number not in self._alone]

    @property
    def amqp_url(self) -> str:
        """A well node's default vhost, with user and password; any node's if none is well."""
        return self._any().amqp_url

    @property
    def management_url(self) -> str:
        """A well node's management API, with user and password."""
        return self._any().management_url

    def number(self, name: str) -> int:
        """Which node has this name."""
        return [node.plan.name for node in self.nodes].index(name)

    def kill(self, *numbers: int) -> None:
        for number in numbers:
            self.nodes[number].kill()

    def start(self, *numbers: int) -> None:
        """Start these at once: one alone has no majority, and would wait for another."""
        self._start(numbers)

    def freeze(self, number: int) -> None:
        self._frozen.add(number)
        self.nodes[number].freeze()

    def thaw(self, number: int) -> None:
        self.nodes[number].thaw()
        self._frozen.discard(number)

    def avoid(self, number: int) -> None:
        """Count it as not well: it is about to stand still."""
        self._alone.add(number)

    def isolate(self, number: int) -> None:
        """Cut this node off from the others, without a word to either side."""
        self._alone.add(number)
        for way, proxy in self._ways.items():
            if number in way:
                proxy.stall()

    def heal(self) -> None:
        """Let all nodes reach each other again."""
        for proxy in self._ways.values():
            proxy.resume()
        self._alone.clear()

    def mend(self) -> None:
        self.heal()
        for number in tuple(self._frozen):
            self.thaw(number)
        self._start([number for number, node in enumerate(self.nodes) if node.pid is None])

    def _any(self) -> Node:
        return self.nodes[random.choice(self.well or range(SIZE))]

    def _start(self, numbers: Iterable[int]) -> None:
        with ThreadPoolExecutor(SIZE) as pool:
            list(pool.map(lambda number: self.nodes[number].start(), numbers))


class _Introduction:
    """Keeps one node's name registered in another's port mapper, whenever that runs.

    A registration ends with its connection.
    """

    def __init__(self, host: Node, name: str, port: int) -> None:
        self._address = (LOOPBACK, host.plan.epmd_port)
        self._request = _registration(name, port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"introduce {name}", daemon=True)
        self._held: socket.socket | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        held = self._held
        if held is not None:
            with contextlib.suppress(OSError):  # closed just now
                held.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(AGAIN):
            with contextlib.suppress(OSError):  # its epmd does not run: again
                self._hold()

    def _hold(self) -> None:
        with socket.create_connection(self._address, timeout=None) as held:
            self._held = held
            held.sendall(self._request)
            while not self._over.is_set() and held.recv(64):
                """The answer; then nothing until one side ends."""
        self._held = None


def _registration(name: str, port: int) -> bytes:
    alive = name.partition("@")[0].encode()
    body = (
        struct.pack("!BHBBHHH", ALIVE2, port, NORMAL, TCP, VERSION, VERSION, len(alive)) + alive + struct.pack("!H", 0)
    )
    return struct.pack("!H", len(body)) + body


def _put_cookie(path: Path, cookie: str) -> None:
    path.write_text(cookie, encoding="ascii")
    path.chmod(0o400)
