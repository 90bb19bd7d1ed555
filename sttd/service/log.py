"""Logging to stderr, for people (console: sentences) or for collectors (JSON: every fact as a field).

A log call's sentence says all that a person needs; its fields repeat that for programs. With `people=False` a line is
for collectors only. No text of a note is passed to a log call; what callers control is escaped and cut.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.processors import TimeStamper

LONGEST = 200  # characters of one value; ids on the wire may have 255
CHOSEN_ID = 20  # characters: an id of up to so many was chosen by the caller and is shown whole; of a UUID the first 8
IDS = ("correlation_id", "message_id", "request_id")
TOLD = {*IDS, "timestamp", "level", "event", "exception", "action", "trace_id", "lane", "attempt"}
"""Not shown behind a sentence: what has its own place in the line, or is for programs."""

COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
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
        TimeStamper(fmt="iso") if style == "json" else TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    if style == "console":
        handler.addFilter(for_people)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_last(style)))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name, floor in NOISY.items():
        logging.getLogger(name).setLevel(floor)


def _last(style: str) -> list[Any]:
    cleanup = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    render = structlog.processors.JSONRenderer(ensure_ascii=False) if style == "json" else line
    return [cleanup, structlog.processors.format_exc_info, harmless, render]


def for_people(record: logging.LogRecord) -> bool:
    """Whether a line is more than a collector's business."""
    return not isinstance(record.msg, dict) or record.msg.get("people", True)


def line(_logger: Any, _method: str, event: Event) -> str:
    """The console's line: time, sentence, the request's id. Unless all is well: the level, and the facts behind it."""
    level, sentence = event["level"], event["event"]
    if shown := _id(event):
        sentence = f"{sentence} (id {shown})"
    if level == "info":
        return f"{event['timestamp']}  {sentence}"
    word = level.upper()
    if level in COLOURS and sys.stderr.isatty():
        word = f"{COLOURS[level]}{word}\x1b[0m"
    facts = "; ".join(
        f"{name}: {value}" for name, value in event.items() if name not in TOLD and str(value) not in sentence
    )
    text = f"{event['timestamp']}  {word} {sentence}{facts and f' [{facts}]'}"
    return f"{text}\n{event['exception']}" if "exception" in event else text


def _id(event: Event) -> str:
    """The first id that there is: whole where a caller chose it, as its length shows; else its beginning."""
    given = next((str(event[name]) for name in IDS if event.get(name)), "")
    return given if len(given) <= CHOSEN_ID else given[:8]


def harmless(_logger: Any, _method: str, event: Event) -> Event:
    """Leave out what is None, escape control characters and cut long values.

    An id with a line feed must not forge a log line.
    """
    return {key: _escaped(key, value) for key, value in event.items() if value is not None and key != "people"}


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
