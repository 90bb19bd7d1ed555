"""What apt-get is asked: to install a package without starting a service, and which mirror this machine uses."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.rabbitmq.errors import NodeError

POLICY = Path("/usr/sbin/policy-rc.d")
SYSTEMD = Path("/run/systemd/system")
GET = ("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=300")


def install(package: str) -> str:
    """Install a package of the distribution; returns why that was not possible, else an empty string.

    Never starts a service.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return "it needs root and apt-get"
    sys.stderr.write(f"installing {package} with apt-get (once; about a minute)\n")
    with services_stay_down(package, "epmd.socket"):
        # A failing update is no reason to stop: the lists may be good enough.
        _quietly([*GET, "update"])
        return _quietly([*GET, "install", "--no-install-recommends", package])


def mirror() -> str:
    """The address of the Debian archive in this machine's own sources; raises `NodeError`."""
    _quietly([*GET, "update"])  # apt's index has the archive of each address
    wanted = ["Origin: Debian", "Label: Debian", "Component: main", "Created-By: Packages"]
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted]
    told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed program
    addresses = [line for line in told.stdout.splitlines() if line.startswith(("http://", "https://"))]
    if not addresses:
        raise NodeError("apt's sources on this machine name no Debian archive")
    return addresses[0]


@contextlib.contextmanager
def services_stay_down(*units: str) -> Iterator[None]:
    """Forbid the packages' scripts to start services, as Debian's policy-rc.d allows, and undo it afterwards."""
    added = not POLICY.exists()
    if added:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if added:
            POLICY.unlink(missing_ok=True)
        if SYSTEMD.is_dir():
            _quietly(["systemctl", "disable", *units])


def checked(command: list[str]) -> None:
    """Run a command quietly; raises `NodeError` with the end of its output."""
    if reason := _quietly(command):
        raise NodeError(f"{command[0]} failed: {reason}")


def _quietly(command: list[str]) -> str:
    done = subprocess.run(  # noqa: S603 - fixed programs
        command,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "\n".join(done.stdout.splitlines()[-5:]) or f"exit code {done.returncode}" if done.returncode else ""
