"""The one error of tools.rabbitmq. Imports nothing."""

from __future__ import annotations


class NodeError(Exception):
    """The private broker cannot be had; the message says what to do next."""
