"""Keeps out of the bot's log what aiormq writes of the client's own connections: the client raises or logs it itself.

The bot's other connections through aiormq are logged as before.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

LOGGERS: Final = ("aiormq.connection", "aiormq.channel", "aio_pika.tools")

_OURS: Final[ContextVar[bool]] = ContextVar("sttd.quiet", default=False)


def _not_ours(record: logging.LogRecord) -> bool:
    return record.levelno < logging.WARNING or not _OURS.get()


@contextmanager
def quiet() -> Iterator[None]:
    """For what the block calls, and for the tasks that are begun in it, as long as they live."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_not_ours)  # the same filter is added once only
    before = _OURS.set(True)
    try:
        yield
    finally:
        _OURS.reset(before)
