"""One private RabbitMQ: started, stopped, killed, frozen and removed by its owner.

Owns the order of things and the wait until the broker answers; how it runs is the backend's business.
"""

import base64
import http.client
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tools.rabbitmq import container, host, install
from tools.rabbitmq.errors import NodeError
from tools.rabbitmq.guard import MARKER, Claim, Guard, KeptClaim
from tools.rabbitmq.plan import IDENTITY, LOOPBACK, Identity, Plan

DEFAULT_BASE = Path(__file__).resolve().parents[2] / ".local" / "rabbitmq"
KEPT_BASE = DEFAULT_BASE.with_name("run")
POLL_SECONDS = 0.05
PROBE_SECONDS = 2.0

Backend = container.ContainerBackend | host.HostBackend


class Node:
    """A broker of one's own on loopback.

    Ports, name, password and data stay over stop, kill and restart; `close()` removes all.
    """

    def __init__(
        self,
        base: Path = DEFAULT_BASE,
        settings: Mapping[str, str] | None = None,
        version: str | None = None,
        variables: Mapping[str, str] | None = None,
        identity: Identity | None = None,
        *,
        kept: bool = False,
    ) -> None:
        """Claim a directory below `base`.

        `settings` are extra lines for rabbitmq.conf, which may name the environment's `variables`. Installs RabbitMQ
        where it is missing. `version`: one of `roots.SUITES`; None: that of `TEST_BROKER`, else the machine's own.
        `identity`: its own unless given, as a cluster's members have them. `kept`: the directory is this version's, and
        stays with ports, password and queues when the node closes; one process at a time has it. Raises `NodeError`.
        """
        self.programs = programs = install.ensure(version)
        self._kept = kept
        own = programs.version if programs else "container"
        self._claim = KeptClaim(base / own) if kept else Claim(base)
        self._guard = Guard(self._claim.directory, keep=kept)
        try:
            who = identity or self._identity()
            self.plan = Plan.of(who, self._claim.directory, settings or {}, variables or {})
            self._backend: Backend = (
                container.ContainerBackend(self.plan) if programs is None else host.HostBackend(self.plan, programs)
            )
        except NodeError:
            self._release()
            raise

    @staticmethod
    def keeps(amqp_url: str, base: Path = KEPT_BASE) -> bool:
        """Whether this is the address of a kept broker, running or not."""
        known = (Identity.read(file) for file in base.glob(f"*/{IDENTITY}"))
        return any(amqp_url == Plan.of(who, base, {}, {}).amqp_url for who in known)

    @property
    def amqp_url(self) -> str:
        """The default vhost, with user and password."""
        return self.plan.amqp_url

    @property
    def management_url(self) -> str:
        """The management API, with user and password."""
        return self.plan.management_url

    @property
    def directory(self) -> Path:
        """Where its data and configuration are."""
        return self.plan.directory

    @property
    def pid(self) -> int | None:
        """Process id of the broker, None while it is down."""
        return self._backend.pid if self._backend.alive() else None

    def start(self, timeout: float = 600) -> None:
        """Start and wait until AMQP and the management API answer; raises `NodeError` with the end of the log."""
        self._backend.start()
        deadline = time.monotonic() + timeout
        while not self._answers():
            if not self._backend.alive():
                raise NodeError(f"RabbitMQ ended while it started:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self._backend.kill()
                raise NodeError(f"RabbitMQ does not answer after {timeout:.0f} s:\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)

    def stop(self, timeout: float = 30) -> None:
        """Shut down in order; data stays."""
        self._backend.stop(timeout)

    def kill(self) -> None:
        """SIGKILL, as a crash would; data stays, but for quorum queues declared in the last second: see `flush()`."""
        self._backend.kill()

    def restart(self, timeout: float = 600) -> None:
        """Stop in order, if it runs, and start again on the same ports."""
        self.stop()
        self.start(timeout)

    def freeze(self) -> None:
        """Stand still: connections stay open, nothing is answered."""
        self._backend.freeze()

    def thaw(self) -> None:
        """Go on after `freeze()`."""
        self._backend.thaw()

    def rabbitmqctl(self, *args: str) -> str:
        """Run rabbitmqctl (about a second); returns its output, raises `NodeError`."""
        return self._backend.rabbitmqctl(*args)

    def flush(self) -> None:
        """Write to disk what RabbitMQ writes only every half second: the list of its quorum queues.

        A queue declared just before `kill()` otherwise comes back without a leader, and its confirmed messages with it.
        """
        self.rabbitmqctl("eval", "[ok = dets:sync(Table) || Table <- dets:all()].")

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the broker's log."""
        return "\n".join(self._backend.log().splitlines()[-lines:])

    def _identity(self) -> Identity:
        file = self._claim.directory / IDENTITY
        return Identity.kept(file) if self._kept else Identity.draw(1)[0]

    def close(self) -> None:
        """End the node and remove its directory. Nothing of it is left, unless it is kept."""
        try:
            if self._kept:
                self.stop()  # in order: its queues are read again
            self._backend.close()
        finally:
            self._release()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def marker(self) -> tuple[str, str]:
        """Environment variable and value by which the guard finds what belongs to this node."""
        return MARKER, str(self.directory)

    def _release(self) -> None:
        self._guard.close()
        self._claim.close()

    def _answers(self) -> bool:
        return answers_amqp(self.plan.amqp_port) and self._answers_management()

    def _answers_management(self) -> bool:
        token = base64.b64encode(f"{self.plan.user}:{self.plan.password}".encode()).decode()
        connection = http.client.HTTPConnection(LOOPBACK, self.plan.management_port, timeout=PROBE_SECONDS)
        try:
            connection.request("GET", "/api/whoami", headers={"Authorization": f"Basic {token}"})
            return bool(json.load(connection.getresponse()).get("name") == self.plan.user)
        except (OSError, http.client.HTTPException, ValueError):  # not up yet
            return False
        finally:
            connection.close()


def answers_amqp(port: int) -> bool:
    """Whether an AMQP 0-9-1 broker on loopback opens the handshake."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PROBE_SECONDS) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # a method frame: connection.start
    except OSError:  # not up yet
        return False
