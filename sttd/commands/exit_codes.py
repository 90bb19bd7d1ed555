"""The exit codes of the command line, in one place; docs/client.md repeats them.

`sttd serve` has a table of its own: consumer.errors.ExitCode, because supervisors read it.
"""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0  # everything as asked
    FAILED = 1  # some or all of the work failed; stderr has one line for each
    USAGE = 2  # called wrongly, a setting is wrong, or an extra is not installed; nothing was done
    BROKER = 3  # RabbitMQ is away or refuses us, or no daemon has ever served the request queue
    TOPOLOGY = 4  # a queue or exchange is missing, refused, or has other arguments (`sttd topology`, `sttd check`)
    INTERRUPTED = 130  # Ctrl-C: what was begun was ended in order
