"""A Debian of its own in a directory, made by debootstrap once for all clones; the host's packages stay as they are.

Needs root. A directory is renamed to its final name only when it is whole, so a half-made one is never used.
"""

import fcntl
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.rabbitmq import apt
from tools.rabbitmq.errors import NodeError

SCRIPT = Path("/usr/share/debootstrap/scripts/sid")
"""Fits every suite since 2017, those without a script of their own too."""


def cache() -> Path:
    """Where such directories are kept, outside every clone."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sttd"


@dataclass(frozen=True, slots=True)
class Root:
    """A root file system: what it is for (in messages), its place below `cache()`, the suite, the packages."""

    what: str
    place: str
    suite: str
    packages: tuple[str, ...]

    def ensure(self) -> Path:
        """The directory, made if need be (about a minute); raises `NodeError`."""
        if os.geteuid() != 0 or not shutil.which("unshare"):
            raise NodeError(
                f"{self.what} is not this machine's own: to install it and to start it needs root and Linux"
            )
        root = cache() / self.place
        root.parent.mkdir(parents=True, exist_ok=True)
        with root.with_name(f".{root.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the processes of one test run all come here
            if not root.is_dir():
                self._make(root)
        return root

    def _make(self, root: Path) -> None:
        if not shutil.which("debootstrap"):
            reason = apt.install("debootstrap")
            if not shutil.which("debootstrap"):
                raise NodeError(f"{self.what} is installed by debootstrap, which cannot be installed here: {reason}")
        sys.stderr.write(f"installing {self.what} from Debian {self.suite} into {root} (once; a minute or two)\n")
        partial = root.with_name(f".{root.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        wanted = f"--include={','.join(self.packages)}"
        words = ["--variant=minbase", wanted, self.suite, str(partial), apt.mirror(), str(SCRIPT)]
        # In a mount namespace: what debootstrap mounts is gone with it, however it ends.
        apt.checked(["unshare", "--mount", "--", "debootstrap", *words])
        (partial / "etc" / "hosts").write_text("127.0.0.1 localhost\n", encoding="ascii")  # else Erlang finds no epmd
        shutil.rmtree(partial / "var" / "cache" / "apt")
        partial.rename(root)
