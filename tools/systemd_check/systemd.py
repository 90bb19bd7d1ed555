"""systemd as process 1 of namespaces of its own, over a layer on this machine's files. Needs root.

Its control groups are below one of ours in each hierarchy; mounts and processes end with process 1. The network is the
machine's.
"""

import contextlib
import os
import subprocess
import sys
import sysconfig
from functools import partial
from pathlib import Path
from typing import Final, Self

from tools.compose_check.errors import NotSo
from tools.compose_check.process import end, output, wait

BOOT: Final = Path(__file__).with_name("boot.sh")
HIERARCHIES: Final = Path("/sys/fs/cgroup")
NAMESPACES: Final = ("--mount", "--pid", "--ipc", "--uts", "--cgroup")
ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "container": "sttd", "LANG": "C.UTF-8"}
SECONDS: Final = 120.0
JOIN: Final = 'for group in {}; do echo $$ >"$group/cgroup.procs"; done; exec "$@"'


class Systemd:
    """systemd as process 1 of its own namespaces, between `with`'s start and end."""

    def __init__(self, work: Path, tree: Path) -> None:
        """`work`: a directory. `tree`: files that it sees over the machine's own."""
        self._layer, self._tree, self._log = work / "layer", tree, work / "log"
        found = [HIERARCHIES, *HIERARCHIES.iterdir()]
        # In every hierarchy: systemd uses all that it finds, and must stay below its own group.
        self._groups = [
            path / f"sttd-systemd-{os.getpid()}" for path in found if (path / "cgroup.procs").exists() and path.is_dir()
        ]
        self._outer: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it answers; raises `NotSo`."""
        self._layer.mkdir()
        for group in self._groups:
            group.mkdir(exist_ok=True)
        unshare = ["unshare", *NAMESPACES, "--fork", "--kill-child=KILL", "--propagation=private", "--"]
        boot = ["sh", BOOT, self._layer, self._tree, sys.base_prefix, sysconfig.get_path("purelib")]
        join = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", JOIN.format(" ".join(map(str, self._groups))), "sh"]
        with self._log.open("wb") as sink:
            self._outer = subprocess.Popen(  # noqa: S603 - fixed programs
                [*join, *unshare, *map(str, boot)],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        wait(self._up, "answer of systemd", SECONDS, self._log.read_text)
        return self

    def __exit__(self, *_: object) -> None:
        """End everything in it and remove its control groups."""
        if self._outer is not None:
            end(self._outer, self._outer.kill)  # and the kernel all that is in it
        for group in self._groups:
            left = sorted((Path(folder) for folder, _, _ in os.walk(group)), reverse=True)
            wait(partial(_removed, left), f"end of {group}", SECONDS)

    def run(self, *words: str, check: bool = True) -> str:
        """Run a program in it and return its output; raises `NotSo` with what it said."""
        assert self._outer is not None
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text(encoding="ascii")
        if not children:
            raise NotSo(f"systemd has ended: {self._log.read_text()}")
        nsenter = ["nsenter", f"--target={children.split()[0]}", *NAMESPACES, "--wd=/", "--"]
        return output([*nsenter, *words], ENVIRONMENT, check=check)

    def show(self, unit: str) -> dict[str, str]:
        """What systemd knows of a unit."""
        return dict(line.split("=", 1) for line in self.run("systemctl", "show", unit).splitlines() if "=" in line)

    def journal(self, unit: str) -> str:
        """What the unit said."""
        return self.run("journalctl", "--unit", unit, "--output=cat", "--no-pager", check=False)

    def _up(self) -> bool:
        with contextlib.suppress(NotSo):
            return self.run("systemctl", "is-active", "systemd-journald", check=False) == "active\n"
        return False


def _removed(groups: list[Path]) -> bool:
    """Whether these, inner ones first, are gone."""
    with contextlib.suppress(OSError):  # what was killed is still ending
        for group in groups:
            if group.exists():
                group.rmdir()
        return True
    return False
