"""What RabbitMQ's refusals and the AMQP library's errors mean, in the same words for daemon, client and commands.

Opens nothing.
"""

import asyncio
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aio_pika.exceptions import AuthenticationError
from aio_pika.exceptions import ProbableAuthenticationError as RefusedLogin

LONGEST: Final = 300
"""Characters of the library's own text."""

UNWRITABLE: Final = (ValueError, TypeError, OverflowError, struct.error)
"""What the library raises on values that AMQP cannot hold, such as a queue's name that is too long."""


def words(error: BaseException) -> str:
    """One line about an error of the broker or the library, which keeps its text in the arguments."""
    said = ", ".join(str(part) for part in error.args if part not in (None, ""))
    if not said:
        return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return said.splitlines()[0][:LONGEST]


def refusal(error: BaseException) -> str | None:
    """What RabbitMQ refuses to one who connects, as the rest of a sentence; None where it refuses nothing."""
    if isinstance(error, AuthenticationError | RefusedLogin):
        return "refuses the user or the password of STTD_AMQP_URL"
    if "Connection.OpenOk" in words(error):  # the library's text when the broker closes instead of opening the vhost
        return "refuses the vhost: does it exist, and may this user enter it? RabbitMQ's log has the reason"
    return None


def permission(error: BaseException) -> str | None:
    """Which permission RabbitMQ refuses, and what to read, as the rest of a sentence; None for any other error."""
    if "ACCESS_REFUSED" not in words(error):
        return None
    return f"refuses a permission: {words(error)}; see the permissions in docs/operations.md"


def failed_inside(error: BaseException) -> str | None:
    """What to do where RabbitMQ itself fails, as the rest of a sentence; None for any other error."""
    if "INTERNAL_ERROR" not in words(error):
        return None
    return (
        f"failed inside ({words(error)}): its log has the reason; a RabbitMQ 3.10 that lets no queue be declared needs "
        "a restart (docs/reliability.md)"
    )


def _of_tls(error: BaseException, broker: str) -> str | None:
    """The library wraps what comes from the network; what comes bare was raised while files were read."""
    said = words(error)
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | ssl.SSLError):
        return f"a file that STTD_AMQP_URL names (cafile, certfile, keyfile) cannot be used ({said})"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return (
            f"the certificate of RabbitMQ at {broker} is not accepted ({said}): STTD_AMQP_URL needs the host's name as "
            "in the certificate, and cafile= where its authority is your own (docs/operations.md)"
        )
    return None


def no_connection(error: BaseException, broker: str) -> str:
    """Why an attempt to connect failed, and what to look at. `broker`: its address for people."""
    if refused := refusal(error) or permission(error) or failed_inside(error):
        return f"RabbitMQ at {broker} {refused}"
    if told := _of_tls(error, broker):
        return told
    return f"no connection to RabbitMQ at {broker} ({words(error)}): is it running, and is STTD_AMQP_URL right?"


def abandoned(error: BaseException) -> bool:
    """Whether it is how aiormq fails what is in flight on a connection that ends.

    With a bare `Exception`, or with a `CancelledError` that nobody asked for.
    """
    if not isinstance(error, asyncio.CancelledError):
        return type(error) is Exception
    task = asyncio.current_task()
    return task is not None and not task.cancelling()


@contextmanager
def as_connection_error() -> Iterator[None]:
    """Turn that into a `ConnectionError`: nothing above would expect it, and a task would end as if cancelled."""
    try:
        yield
    except (asyncio.CancelledError, Exception) as error:
        if not abandoned(error):
            raise
        raise ConnectionError("the connection went away") from error
