"""Errors as an HTTP status with one sentence; and the status of each of the client's errors.

Pure: uses no request and no response; the sentence never holds audio, text or a token.
"""

from collections.abc import Mapping
from typing import Final

from sttd import errors
from sttd.schemas.codes import ErrorCode

RETRY_SECONDS: Final = 10
"""The value of Retry-After: about the time in which a full queue gets noticeably shorter."""

CLIENT_GONE: Final = 499
"""Status in the log for a caller who hung up; it is not sent."""


class Problem(Exception):
    """A request ends with `status` and this message.

    `code`: one word for programs; `retry_after`: seconds; `param`: the form field.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        *,
        retry_after: int | None = None,
        param: str | None = None,
        cause: str | None = None,
    ) -> None:
        """Keep the content of the answer; `cause` is for the log."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.retry_after = retry_after
        self.param = param
        self.cause = cause


def no_file() -> Problem:
    """There is no file in the form: the exact words of the old service."""
    return Problem(400, "No file provided", "no_file", param="file")


def busy(message: str, code: str) -> Problem:
    """Too much at once; the same request may be sent again soon."""
    return Problem(429, message, code, retry_after=RETRY_SECONDS)


class CallerGone(Problem):
    """The caller hung up; the answer is not sent."""

    def __init__(self) -> None:
        super().__init__(CLIENT_GONE, "the caller hung up", "client_gone")


def unavailable(message: str, code: str, cause: str | None = None) -> Problem:
    """The broker is away, or no daemon works on the queue; `cause` is for the log."""
    return Problem(503, message, code, retry_after=RETRY_SECONDS, cause=cause)


_STATUS: Final[Mapping[str, int]] = {
    ErrorCode.BODY_TOO_LARGE: 413,
    ErrorCode.AUDIO_TOO_LONG: 413,
    ErrorCode.EXPIRED: 504,
    ErrorCode.TIMED_OUT: 504,
}
"""Codes of failure replies whose status is not their family's."""


def from_client(error: errors.SttdClientError, *, bad_audio: int) -> Problem:
    """The problem for an error of the client.

    `bad_audio`: the status of audio that cannot be used (the two APIs differ).
    """
    match error:
        case errors.TranscriptionFailed():
            return Problem(_failed(error, bad_audio), error.message, error.code)
        case errors.QueueFull():
            return busy("the queue is full; try again later", error.code)
        case errors.ReplyTimeout():
            late = "no answer in time: the queue is long, no daemon works on it, or a failed note is tried again"
            return Problem(504, late, error.code, cause=str(error))
        case errors.BrokerUnavailable() | errors.ClientClosed():
            return unavailable("the broker is away; try again later", error.code, str(error))
        case errors.NotServed():
            return unavailable("no daemon has served the queue yet", error.code, str(error))
        case _:
            return Problem(500, "the transcription failed", error.code, cause=str(error))


def _failed(error: errors.TranscriptionFailed, bad_audio: int) -> int:
    if error.code in _STATUS:
        return _STATUS[error.code]
    if isinstance(error, errors.BadRequest):
        return 400
    return bad_audio if isinstance(error, errors.RejectedAudio) else 500
