"""Logging to stderr: one sentence per line with its facts as fields, for people (console) or collectors (JSON).

No text of a note is passed to a log call; what callers control is escaped and cut.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

LONGEST = 200  # characters of one value; ids on the wire may have 255
NOISY = {
    "aiormq": logging.CRITICAL,
    "aio_pika": logging.CRITICAL,
    "asyncio": logging.WARNING,
    "uvicorn": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "opentelemetry": logging.ERROR,
    "urllib3": logging.ERROR,
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "botocore": logging.WARNING,  # logs what it signed, and with which key
    "huggingface_hub": logging.ERROR,
    "faster_whisper": logging.WARNING,
}
"""Libraries whose messages repeat our own lines, and their floor."""

Event = MutableMapping[str, Any]


def configure(style: str, level: str) -> None:
    """Set up structlog and the standard library's root logger; `style` is `console` or `json`."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_last(style)))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name, floor in NOISY.items():
        logging.getLogger(name).setLevel(floor)


def _last(style: str) -> list[Any]:
    cleanup = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    render = structlog.processors.JSONRenderer(ensure_ascii=False) if style == "json" else _console()
    return [cleanup, structlog.processors.format_exc_info, harmless, render]


def _console() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def harmless(_logger: Any, _method: str, event: Event) -> Event:
    """Leave out what is None, escape control characters and cut long values.

    An id with a line feed must not forge a log line.
    """
    return {key: _escaped(key, value) for key, value in event.items() if value is not None}


def _escaped(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # A traceback's lines stay lines, each with a margin: the error's own text may hold a line feed of a caller.
    if key == "exception":
        return "\n".join(f"  | {_printable(line)}" for line in value.split("\n"))
    return _printable(value if len(value) <= LONGEST or key == "event" else value[:LONGEST] + "...")


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
