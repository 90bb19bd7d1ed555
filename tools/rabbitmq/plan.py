"""What a private node is called, where it lives and on which ports: decided once, kept over restarts.

Starts nothing.
"""

import json
import random
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.rabbitmq.errors import NodeError

LOOPBACK = "127.0.0.1"
IDENTITY = "identity.json"
# Below the kernel's ephemeral range, so that no outgoing connection takes a port while its node is down for a restart.
PORT_RANGE = range(20_000, 30_000)

# Statistics about a second old instead of five, for tests look at the queues; and a small write-ahead log.
SETTINGS = {
    "collect_statistics_interval": "250",
    "disk_free_limit.absolute": "50MB",
    "raft.wal_max_size_bytes": "33554432",
}
ADVANCED = """[
  {rabbit, [{quorum_tick_interval, 250}]},
  {rabbitmq_management, [
    {management_db_cache_multiplier, 0},
    {sample_retention_policies, [{global, [{60, 1}]}, {basic, [{60, 1}]}, {detailed, [{10, 1}]}]}
  ]}
].
"""


@dataclass(frozen=True)
class Identity:
    """What a node is called, the password of its user, and its ports: AMQP, management, distribution, epmd."""

    name: str
    password: str
    ports: tuple[int, int, int, int]

    @classmethod
    def draw(cls, count: int) -> "list[Identity]":
        """Those of a cluster's members, with ports that are free now.

        Drawn together: a drawn port is not taken yet, and could be drawn again.
        """
        password, ports = secrets.token_urlsafe(12), iter(free_ports(4 * count))
        fours = zip(ports, ports, ports, ports, strict=True)
        return [cls(f"sttd-{secrets.token_hex(4)}@localhost", password, four) for four in fours]

    @classmethod
    def kept(cls, file: Path) -> "Identity":
        """That of the file; drawn and written where there is none. Raises `NodeError` if a port of it is taken."""
        if not file.exists():
            file.write_text(json.dumps(asdict(cls.draw(1)[0])))
        known = cls.read(file)
        if taken := [port for port in known.ports if not _is_free(port)]:
            raise NodeError(
                f"port {taken[0]}, which the broker of `make run` keeps, is taken: end what listens there, or remove "
                f"{file.parent} (with its queues) for other ports"
            )
        return known

    @classmethod
    def read(cls, file: Path) -> "Identity":
        """That of the file."""
        known = json.loads(file.read_text())
        return cls(known["name"], known["password"], tuple(known["ports"]))


@dataclass(frozen=True)
class Plan:
    """Names, ports and credentials of one node."""

    directory: Path
    name: str
    amqp_port: int
    management_port: int
    dist_port: int
    epmd_port: int
    password: str
    settings: Mapping[str, str]
    variables: Mapping[str, str]
    user: str = "sttd"

    @classmethod
    def of(cls, who: Identity, directory: Path, settings: Mapping[str, str], variables: Mapping[str, str]) -> "Plan":
        """The plan of this node."""
        return cls(directory, who.name, *who.ports, who.password, settings, variables)

    @property
    def amqp_url(self) -> str:
        """Where the default vhost is, with user and password."""
        return f"amqp://{self.user}:{self.password}@{LOOPBACK}:{self.amqp_port}/"

    @property
    def management_url(self) -> str:
        """Where the management API is, with user and password."""
        return f"http://{self.user}:{self.password}@{LOOPBACK}:{self.management_port}"

    def write(self, *, management_host: str, management_port: int) -> None:
        """Write the configuration files into the directory."""
        settings = {
            "default_user": self.user,
            "default_pass": self.password,
            "management.tcp.ip": management_host,
            "management.tcp.port": str(management_port),
            **SETTINGS,
            **self.settings,
        }
        (self.directory / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        (self.directory / "advanced.config").write_text(ADVANCED)
        (self.directory / "enabled_plugins").write_text("[rabbitmq_management].\n")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nothing listens on, drawn at random so that two runs at once seldom meet."""
    found: list[int] = []
    for port in filter(_is_free, random.sample(PORT_RANGE, len(PORT_RANGE))):
        found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports on {LOOPBACK}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
