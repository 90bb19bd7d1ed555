"""RabbitMQ of another Debian, in a directory of its own. Needs root."""

from pathlib import Path

from tools.rabbitmq.debian import Root

SUITES = {"3.10": "bookworm", "4.0": "trixie", "4.3": "forky"}
"""The versions that can be asked for, and the Debian that has each."""


def root(version: str) -> Root:
    """What is wanted for this version."""
    return Root(f"RabbitMQ {version}", f"rabbitmq/{version}", SUITES[version], ("rabbitmq-server",))


def ensure(version: str) -> Path:
    """The directory with this version, made if need be (about a minute); raises `NodeError`."""
    return root(version).ensure()
