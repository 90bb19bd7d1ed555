"""The one error of tools.rabbitmq."""


class NodeError(Exception):
    """The private broker cannot be installed or started; the message is what to do next."""
