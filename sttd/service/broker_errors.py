"""What RabbitMQ's refusals and the AMQP library's errors mean, in the same words for daemon, client and commands.

Opens nothing.
"""

from typing import Final

from aio_pika.exceptions import AuthenticationError
from aio_pika.exceptions import ProbableAuthenticationError as RefusedLogin

LONGEST: Final = 300
"""Characters of the library's own text."""


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
        return "refuses the vhost: does it exist, and may this user enter it?"
    return None


def no_connection(error: BaseException, broker: str) -> str:
    """Why an attempt to connect failed, and what to look at. `broker`: its address for people."""
    if refused := refusal(error):
        return f"RabbitMQ at {broker} {refused}"
    if "ACCESS_REFUSED" in words(error):
        return f"RabbitMQ at {broker} refuses a permission: {words(error)}; see the permissions in docs/operations.md"
    return f"no connection to RabbitMQ at {broker} ({words(error)}): is it running, and is STTD_AMQP_URL right?"
