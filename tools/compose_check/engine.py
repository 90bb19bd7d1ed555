"""A Docker engine in namespaces of its own: Debian's packages in their own root file system. Needs root.

Mounts, processes, ports, bridges and packet filters are the namespaces'; all of them end with process 1. The host has
the control groups, which are removed at the end, and the cache with images and layers for the next run.
"""

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, Self

from tools.compose_check.errors import NotSo
from tools.compose_check.process import end, output, wait
from tools.rabbitmq import apt, debian

ROOT: Final = debian.Root(
    "Docker",
    "compose/engine",
    "trixie",
    ("docker.io", "docker-cli", "docker-compose", "docker-buildx", "iptables", "curl", "ca-certificates"),
)
BOOT: Final = Path(__file__).with_name("boot.sh")
SOURCE: Final = Path(__file__).resolve().parents[2]
CGROUP: Final = "sttd-compose-check"
HIERARCHIES: Final = Path("/sys/fs/cgroup")
DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
NAMESPACES: Final = ("--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child=KILL")
ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/run", "LANG": "C.UTF-8"}
STARTED_SECONDS: Final = 60.0


class Engine:
    """dockerd between `with`'s start and end. In it the clone is /srv and `work` is /mnt, both read-only."""

    def __init__(self, work: Path) -> None:
        """`work`: a directory; its `dockerd.log` takes what the engine says."""
        self._work = work
        self._lock: IO[str] | None = None
        self._first: subprocess.Popen[bytes] | None = None
        self._uplink: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it answers; raises `NotSo`, `NodeError`."""
        root, data = ROOT.ensure(), debian.cache() / "compose" / "data"
        if not shutil.which("slirp4netns") and (reason := apt.install("slirp4netns")):
            raise NotSo(f"slirp4netns, by which builds reach the package index, cannot be installed: {reason}")
        data.mkdir(parents=True, exist_ok=True)
        self._lock = data.with_name("lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # two engines on one data directory destroy it
        try:
            self._start(root, data)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything in it; raises `NotSo` when a process or a control group is left."""
        self.cut_network()
        if self._first is not None:
            end(self._first, self._ask_to_stop)
        if self._lock is not None:
            self._lock.close()
        if left := [str(group) for group in _groups() if not _removed(group)]:
            raise NotSo(f"processes are left in {', '.join(left)}")

    def cut_network(self) -> None:
        """From here on nothing in it reaches the world."""
        if self._uplink is not None:
            end(self._uplink, self._uplink.terminate)

    def run(self, *words: str, stdin: IO[bytes] | None = None, check: bool = True) -> str:
        """Run a program in it and return its output; raises `NotSo` with what it said."""
        command = ["nsenter", f"--target={self._init()}", "--mount", "--net", "--pid", "--ipc", "--uts", "--wd=/srv"]
        return output([*command, "--", *words], ENVIRONMENT, stdin, check=check)

    def in_network(self, words: Sequence[str]) -> list[str]:
        """The command that runs a program of the host among the engine's ports."""
        return ["nsenter", f"--net=/proc/{self._init()}/ns/net", "--", *words]

    def limit_memory(self, size: int) -> None:
        """Bound all containers together, their page cache included, to `size` bytes."""
        unified = HIERARCHIES / CGROUP / "memory.max"
        older = HIERARCHIES / "memory" / CGROUP / "memory.limit_in_bytes"
        (unified if unified.exists() else older).write_text(str(size), encoding="ascii")

    def _start(self, root: Path, data: Path) -> None:
        layer = self._work / "layer"
        layer.mkdir()
        boot = ["sh", str(BOOT), *map(str, (root, layer, data, SOURCE, self._work)), f"/{CGROUP}"]
        self._first = self._spawn("dockerd.log", ["unshare", *NAMESPACES, "--propagation=private", "--", *boot])
        wait(lambda: bool(self._children()), "process of the engine", STARTED_SECONDS, self._log)
        uplink = ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", str(self._init()), "tap0"]
        self._uplink = self._spawn("slirp4netns.log", uplink)
        wait(self._answers, "answer of dockerd", STARTED_SECONDS, self._log)
        self._clear()

    def _answers(self) -> bool:
        return "Server:" in self.run("docker", "version", check=False)

    def _clear(self) -> None:
        """Remove what an interrupted run left: its containers would start again."""
        if left := self.run("docker", "ps", "--all", "--quiet").split():
            self.run("docker", "rm", "--force", *left)
        self.run("docker", "network", "prune", "--force")
        self.run("docker", "volume", "prune", "--all", "--force")

    def _spawn(self, log: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self._work / log).open("ab") as sink:
            return subprocess.Popen(  # noqa: S603 - fixed programs
                [*DIES_WITH_US, *command],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def _log(self) -> str:
        return "".join(path.read_text(errors="replace")[-2000:] for path in sorted(self._work.glob("*.log")))

    def _ask_to_stop(self) -> None:
        for child in self._children():
            os.kill(child, signal.SIGTERM)

    def _init(self) -> int:
        """Process 1 of the namespaces, as the host counts; raises `NotSo` when it has ended."""
        for child in self._children():
            return child
        raise NotSo(f"the engine has ended: {self._log()}")

    def _children(self) -> list[int]:
        if self._first is None:
            return []
        pid = self._first.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _groups() -> list[Path]:
    """The engine's control groups, in every hierarchy, inner ones first."""
    tops = [HIERARCHIES / CGROUP, *HIERARCHIES.glob(f"*/{CGROUP}")]
    return sorted((Path(folder) for top in tops for folder, _, _ in os.walk(top)), reverse=True)


def _removed(group: Path) -> bool:
    """Whether it could be removed: one with a process in it cannot."""
    try:
        group.rmdir()
    except OSError:
        return False
    return True
