"""RabbitMQ of another Debian in a directory of its own, made by debootstrap once for all clones.

The host's packages stay as they are. Needs root. A directory is renamed to its final name only when it is whole, so a
half-made one is never used.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

from tools.rabbitmq import apt
from tools.rabbitmq.errors import NodeError

SUITES = {"3.10": "bookworm", "4.0": "trixie", "4.3": "forky"}
"""The versions that can be asked for, and the Debian that has each."""

SCRIPT = Path(
    "/usr/share/debootstrap/scripts/sid"
)  # fits every suite since 2017, those without a script of their own too


def ensure(version: str) -> Path:
    """The directory with this version, made if need be (about a minute); raises `NodeError`."""
    _must_be_possible(version)
    home = _cache()
    home.mkdir(parents=True, exist_ok=True)
    root = home / version
    with (home / f".{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the processes of one test run all come here
        if not root.is_dir():
            _make(version, home / f".{version}.partial", root)
    return root


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sttd" / "rabbitmq"


def _must_be_possible(version: str) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        raise NodeError(
            f"RabbitMQ {version} is not this machine's own: to install it and to start it needs root and Linux"
        )


def _make(version: str, partial: Path, root: Path) -> None:
    suite = SUITES[version]
    if not shutil.which("debootstrap"):
        reason = apt.install("debootstrap")
        if not shutil.which("debootstrap"):
            raise NodeError(f"RabbitMQ {version} is installed by debootstrap, which cannot be had here: {reason}")
    sys.stderr.write(f"installing RabbitMQ {version} from Debian {suite} into {root} (once; a minute or two)\n")
    shutil.rmtree(partial, ignore_errors=True)
    # In a mount namespace: what debootstrap mounts is gone with it, however it ends.
    words = ["--variant=minbase", "--include=rabbitmq-server", suite, str(partial), apt.mirror(), str(SCRIPT)]
    apt.checked(["unshare", "--mount", "--", "debootstrap", *words])
    (partial / "etc" / "hosts").write_text("127.0.0.1 localhost\n", encoding="ascii")  # else Erlang finds no epmd
    shutil.rmtree(partial / "var" / "cache" / "apt")
    partial.rename(root)
