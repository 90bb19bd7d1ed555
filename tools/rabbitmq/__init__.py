"""A private RabbitMQ for development and tests: found or installed, started, killed, frozen, removed.

Standard library only, so that it runs before the virtual environment exists. Listens on loopback only and never touches
a broker of the system: own name, own directory, own ports, own password.
"""

from tools.rabbitmq.errors import NodeError
from tools.rabbitmq.node import Node

__all__ = ["Node", "NodeError"]
