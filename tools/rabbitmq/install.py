"""Makes sure that a broker can be had: the installed one, else apt-get as root, else Docker, else an error with the next step.

An installation never starts a broker of the system, now or at the next boot.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tools.rabbitmq import container, host
from tools.rabbitmq.errors import NodeError

PACKAGE = "rabbitmq-server"
POLICY = Path("/usr/sbin/policy-rc.d")
SYSTEMD = Path("/run/systemd/system")
NEXT_STEP = (
    "no RabbitMQ here, and none can be installed. One of these helps: set STTD_AMQP_URL to a broker of yours;"
    f" install it (`sudo apt-get install {PACKAGE}`); or start Docker and run this again"
)

Kind = Literal["host", "container"]


def ensure() -> Kind:
    """How a node can be run here, installing rabbitmq-server if need be; raises `NodeError`."""
    if host.scripts():
        return "host"
    reason = apt_install(PACKAGE) if os.geteuid() == 0 and shutil.which("apt-get") else ""
    if host.scripts():
        return "host"
    if container.available():
        return "container"
    raise NodeError(NEXT_STEP + (f"\napt-get said: {reason}" if reason else ""))


def apt_install(package: str) -> str:
    """Install a package of the distribution; returns what apt-get said if that failed, else an empty string."""
    sys.stderr.write(f"installing {package} with apt-get (once; about a minute)\n")
    get = ["apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=300"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with services_stay_down(package, "epmd.socket"):
        # A failing update is no reason to stop: the lists may be good enough.
        _quietly([*get, "update"], environment)
        return _quietly([*get, "install", "--no-install-recommends", package], environment)


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
            _quietly(["systemctl", "disable", *units], dict(os.environ))


def _quietly(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(  # noqa: S603 - fixed programs
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "\n".join(done.stdout.splitlines()[-5:]) or f"exit code {done.returncode}" if done.returncode else ""
