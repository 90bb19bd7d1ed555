"""Installs a broker if need be, and prints which programs run it.

Without a version: the installed one, else apt-get as root, else Docker, else an error with the next step. Another
version than the machine's own comes from another Debian (roots.py).
"""

import os
import platform
from typing import Final

from tools.rabbitmq import apt, container, host, roots
from tools.rabbitmq.errors import NodeError

VARIABLE: Final = "TEST_BROKER"
"""The environment variable with the version; not `STTD_...`, which would be a setting of the product."""

PACKAGE = "rabbitmq-server"
NEXT_STEP = (
    "no RabbitMQ here, and none can be installed. One of these helps: install it (`sudo apt-get install "
    f"{PACKAGE}`); start Docker and run this again; or, for the demo, set STTD_AMQP_URL to a broker of yours"
)


def ensure(version: str | None = None) -> host.Programs | None:
    """What a node runs from, installed if need be; None: a container. `version`: None means `TEST_BROKER`'s, or any.

    Raises `NodeError`.
    """
    version = version or os.environ.get(VARIABLE) or None
    if version is not None and version not in roots.SUITES:
        raise NodeError(f"there is no RabbitMQ {version} here, only {', '.join(roots.SUITES)}")
    if version is not None and not _own(version):
        return host.Programs(roots.ensure(version))
    reason = "" if host.Programs().there() else apt.install(PACKAGE)
    if host.Programs().there():
        return host.Programs()
    if container.available():
        return None
    raise NodeError(f"{NEXT_STEP}\napt-get: {reason}")


def _own(version: str) -> bool:
    """Whether this machine's own RabbitMQ is of that version, or would be if it were installed."""
    if host.Programs().there():
        return host.Programs().version.startswith(f"{version}.")
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME") == roots.SUITES[version]
    except OSError:  # a system that does not name itself
        return False
