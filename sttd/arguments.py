"""What calls of the client may give for ids, times, queues and callbacks; each mistake gets a sentence that names it.

Pure. Audio is content.py's.
"""

import inspect
import math
from asyncio import isfuture
from contextlib import suppress
from operator import index
from typing import Final, SupportsIndex, TypeAlias
from uuid import UUID, uuid4

from sttd import errors
from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import DEADLINE_AHEAD

Id: TypeAlias = str | int | UUID
"""A correlation id or a message id; integers, as bot frameworks have them, travel as their decimal text."""

LONGEST_ID: Final = 255
"""AMQP's limit for an id, in bytes of UTF-8."""


def shown(value: object) -> str:
    """What a value is, for a sentence: never what it holds, which may be speech or a secret."""
    if value is None:
        return "None"
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    return f"a {kind} that was not awaited" if inspect.isawaitable(value) else f"a value of type {kind}"


def as_text(name: str, given: object) -> str:
    """An id of a bot framework as its text: numpy's integers count, an Enum's value. Raises `WrongArgument`."""
    if isinstance(given, str):
        return str.__str__(given)  # an Enum's own str() is its name, not its value
    if isinstance(given, SupportsIndex) and not isinstance(given, bool):
        with suppress(TypeError):  # numpy's arrays only look like numbers
            return str(index(given))
    if isinstance(given, UUID):
        return str(given)
    raise errors.WrongArgument.of(name, shown(given), "text, an integer or a UUID")


def identifier(name: str, given: Id | None) -> str:
    """An id as AMQP carries it; a new one for None. Raises `BadRequest`, and as one of those `WrongArgument`."""
    if given is None:
        return str(uuid4())
    text = as_text(name, given)
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        raise errors.WrongArgument.of(name, "text with half a surrogate pair", "text that UTF-8 can carry") from None
    if not 0 < length <= LONGEST_ID:
        raise errors.BadRequest.by_code(
            ErrorCode.BAD_REQUEST, f"{name}: text of {length} bytes was given; expected: 1 to {LONGEST_ID} bytes"
        )
    return text


def check(*, timeout: object, queue: object, on_progress: object) -> None:
    """What no type checker has seen: frameworks pass on what they got. Raises `BadRequest`, mostly `WrongArgument`."""
    if timeout is not None:
        _check_timeout(timeout)
    if queue is not None and not isinstance(queue, str):
        raise errors.WrongArgument.of("queue", shown(queue), "a queue's name, as text")
    if queue:
        try:
            names.queue_name(queue)
        except ValueError as error:
            raise errors.BadRequest.by_code(ErrorCode.BAD_REQUEST, f"queue: the name {error}") from None
    if on_progress is not None and not callable(on_progress):
        raise errors.WrongArgument.of("on_progress", shown(on_progress), "a function of one argument")
    if inspect.iscoroutinefunction(on_progress) or inspect.iscoroutinefunction(type(on_progress).__call__):
        raise _awaits()


def _check_timeout(given: object) -> None:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise errors.WrongArgument.of("timeout", shown(given), "seconds, as a number")
    if not (0 < given <= DEADLINE_AHEAD.total_seconds() or given == math.inf):
        raise errors.BadRequest.by_code(
            ErrorCode.BAD_REQUEST, "timeout: more than 0 and at most 86,400 s (24 h), or math.inf for none"
        )


def check_returned(value: object) -> None:
    """What a call of `on_progress` gave: a lambda around an async call looks like any other function.

    A task or a future is at work already.
    """
    if inspect.isawaitable(value) and not isfuture(value):
        close(value)
        raise _awaits()


def close(value: object) -> None:
    """Close a coroutine, or Python would complain a second time that nobody awaited it."""
    if inspect.iscoroutine(value):
        value.close()


def _awaits() -> errors.WrongArgument:
    return errors.WrongArgument.of(
        "on_progress", "an async function", "a plain function, since it is called and not awaited (or `stream`)"
    )
