"""Runs a root file system as a container without Docker: an OCI bundle for crun, hardened as in docker-compose.yml.

Needs root and Linux. Owns the bundle's directory; the network is the host's, so that a test reaches the container on
loopback.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any, Final

PROFILE: Final = Path("/usr/share/containers/seccomp.json")
"""The profile that Podman uses, Docker's in all but a few calls; it comes with buildah."""
OURS: Final = "amd64"
CAPABILITY_SETS: Final = ("bounding", "effective", "inheritable", "permitted", "ambient")
SHARED: Final = ("network", "cgroup")
# crun needs the unified hierarchy, and a machine in hybrid mode shows the older one: in a mount namespace of its own it
# is hidden.
WITH_CGROUP2: Final = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'


class Container:
    """One container on a bundle.

    `args` run as user 10001 with a read-only root, no capability, and the seccomp profile.
    """

    def __init__(self, bundle: Path, root: Path, name: str) -> None:
        """`bundle`: an empty directory; `root`: the root file system, which is not written to."""
        self.bundle, self._root, self.name = bundle, root, name
        self._state = bundle / "state"

    def configure(self, args: Sequence[str], environment: Mapping[str, str], binds: Mapping[str, Path]) -> None:
        """Write config.json. `binds`: places in the container and what is shown there, read-only."""
        self._crun("spec", cwd=self.bundle)
        path = self.bundle / "config.json"
        spec = json.loads(path.read_text(encoding="utf-8"))
        spec["root"] = {"path": str(self._root), "readonly": True}
        spec["process"] |= {
            "terminal": False,
            "args": list(args),
            "env": [f"{name}={value}" for name, value in environment.items()],
            "cwd": "/tmp",  # noqa: S108 - its own, a tmpfs
            "user": {"uid": 10001, "gid": 10001},
            "noNewPrivileges": True,
            "capabilities": {kind: [] for kind in CAPABILITY_SETS},
        }
        spec["mounts"] += [_tmpfs("/tmp"), *starmap(_bind, binds.items())]  # noqa: S108 - its own
        spec["linux"]["namespaces"] = [space for space in spec["linux"]["namespaces"] if space["type"] not in SHARED]
        spec["linux"].pop("resources", None)
        spec["linux"]["seccomp"] = seccomp(json.loads(PROFILE.read_text(encoding="utf-8")))
        path.write_text(json.dumps(spec, indent=1), encoding="utf-8")

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Run it; the process that comes back ends with the container, with its exit code."""
        with log.open("ab") as sink:
            return subprocess.Popen(  # noqa: S603 - fixed
                self._command("run", "--bundle", str(self.bundle), self.name), stdout=sink, stderr=sink
            )

    def execute(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run another program in it, as the same user."""
        command = self._command("exec", "--user", "10001:10001", self.name, *args)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - fixed

    def pid(self) -> int:
        """The process id of its first process, as this machine sees it."""
        command = self._command("state", self.name)
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - fixed
        return int(json.loads(done.stdout)["pid"])

    def signal(self, name: str) -> None:
        """Send a signal to its first process."""
        self._crun("kill", self.name, name)

    def _crun(self, *words: str, cwd: Path | None = None) -> None:
        subprocess.run(self._command(*words), cwd=cwd, check=True)  # noqa: S603 - fixed

    def _command(self, *words: str) -> list[str]:
        crun = ["crun", "--root", str(self._state), "--cgroup-manager=disabled", *words]
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", WITH_CGROUP2, "sh", *crun]


def _tmpfs(place: str) -> dict[str, Any]:
    return {
        "destination": place,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "nodev", "mode=1777", "size=64m"],
    }


def _bind(place: str, shown: Path) -> dict[str, Any]:
    return {"destination": place, "type": "bind", "source": str(shown), "options": ["rbind", "ro", "nosuid", "nodev"]}


def seccomp(profile: Mapping[str, Any]) -> dict[str, Any]:
    """The profile as the OCI runtime reads it, for a process on x86-64 without any capability."""
    rules = [
        {key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key)}
        for rule in profile["syscalls"]
        if not rule.get("includes", {}).get("caps") and OURS in rule.get("includes", {}).get("arches", [OURS])
    ]
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules,
    }
