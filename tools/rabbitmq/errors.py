"""The one error of tools.rabbitmq."""

from __future__ import annotations


class NodeError(Exception):
    """The private broker cannot be installed or started; the message is what to do next."""
