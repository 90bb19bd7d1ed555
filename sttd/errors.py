"""Everything that `sttd.Client` raises: one class per family of failure codes, and per reason for a missing answer.

The sentence of an error names the next step; none of them holds audio, text or a password.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

from sttd.schemas.codes import ErrorCode
from sttd.schemas.reply import Failure


class SttdClientError(Exception):
    """Base of all errors that the client raises.

    `code`: one word for logs and programs. `retryable`: the same request may succeed later.
    """

    code: str = "client_error"
    retryable: bool = False

    @property
    def message(self) -> str:
        """The sentence, with the next step."""
        return str(self)


class SettingsInvalid(SttdClientError):
    """A setting of the client is malformed; the message names it, never its value."""

    code = "settings_invalid"


class BrokerUnavailable(SttdClientError):
    """The broker is away, refuses us, or did not confirm the request in time: it may or may not be queued."""

    code = "broker_unavailable"
    retryable = True


class BrokerBlocked(BrokerUnavailable):
    """The broker is there and takes no messages: it has a memory or disk alarm."""


class NotServed(SttdClientError):
    """The request queue does not exist: no daemon has ever served this broker."""

    code = "not_served"
    retryable = True


class NotVisible(SttdClientError):
    """The broker's user may not look at the queue. Requests to it are another matter."""

    code = "not_visible"


class QueueFull(SttdClientError):
    """The broker did not take the request: its queue is at its limit. Try again later."""

    code = "queue_full"
    retryable = True


class ReplyTimeout(SttdClientError, TimeoutError):
    """The request is queued, but its answer did not come in time."""

    code = "reply_timeout"
    retryable = True


class BadReply(SttdClientError):
    """The answer is not one that this version of the client understands."""

    code = "bad_reply"


class ClientClosed(SttdClientError):
    """The client is closed, or was never opened."""

    code = "client_closed"


class TranscriptionFailed(SttdClientError):
    """The request was answered with a failure.

    `code`: one of `sttd.schemas.codes.ErrorCode`, or one of a newer daemon. `details`: scalars and lists for a program.
    `message_id`: names the request in the daemon's log; None if it was never sent.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        details: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.retryable = retryable
        self.details = dict(details or {})
        self.message_id = message_id

    @property
    def message(self) -> str:
        """The sentence without the code."""
        return str(self.args[1])

    def __str__(self) -> str:
        """`code: message`, as it is logged and printed."""
        return f"{self.code}: {self.message}"

    @classmethod
    def by_code(cls, code: ErrorCode, message: str, details: Mapping[str, Any] | None = None) -> Self:
        """An error that the client finds by itself, before anything was sent."""
        return cls(code, message, retryable=code.retryable, details=details)


class BadRequest(TranscriptionFailed):
    """The request breaks the contract: an unknown option, or one out of range."""


class WrongArgument(BadRequest, TypeError):
    """An argument is of no use to any call: the calling program is at fault, not the speaker."""

    @classmethod
    def of(cls, name: str, given: str, expected: str) -> "WrongArgument":
        """Say what was given for which argument, and what is expected."""
        return cls.by_code(ErrorCode.BAD_REQUEST, f"{name}: {given} was given; expected: {expected}")


class RejectedAudio(TranscriptionFailed):
    """The audio is at fault: not audio, damaged, empty, too large or too long. Sending it again cannot help."""


class Expired(TranscriptionFailed):
    """The deadline passed before the transcript was ready."""


class Cancelled(TranscriptionFailed):
    """The request was cancelled."""


class DaemonFailed(TranscriptionFailed):
    """The daemon or its model failed on this request, on every try."""


FAMILY: Final[Mapping[str, type[TranscriptionFailed]]] = {
    ErrorCode.BAD_REQUEST: BadRequest,
    ErrorCode.BAD_REPLY_TO: BadRequest,
    ErrorCode.BODY_TOO_LARGE: RejectedAudio,
    ErrorCode.UNSUPPORTED_MEDIA: RejectedAudio,
    ErrorCode.AUDIO_UNREADABLE: RejectedAudio,
    ErrorCode.NO_AUDIO_STREAM: RejectedAudio,
    ErrorCode.AUDIO_EMPTY: RejectedAudio,
    ErrorCode.AUDIO_TOO_LONG: RejectedAudio,
    ErrorCode.AUDIO_REF_DENIED: RejectedAudio,
    ErrorCode.EXPIRED: Expired,
    ErrorCode.CANCELLED: Cancelled,
    ErrorCode.MODEL_ERROR: DaemonFailed,
    ErrorCode.INTERNAL_ERROR: DaemonFailed,
    ErrorCode.AUDIO_REF_UNAVAILABLE: DaemonFailed,
    ErrorCode.TIMED_OUT: DaemonFailed,
    ErrorCode.POISON: DaemonFailed,
}
"""The exception class of each code; a code that is not here is a plain `TranscriptionFailed`."""


def from_failure(failure: Failure) -> TranscriptionFailed:
    """The exception that a failure reply becomes."""
    error = failure.error
    family = FAMILY.get(error.code, TranscriptionFailed)
    return family(
        error.code, error.message, retryable=error.retryable, details=error.details, message_id=failure.message_id
    )
