"""Every error by its meaning: what the caller reads, and the exit code of the process.

Third-party exceptions are translated into these at the seams.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar

from sttd.schemas.codes import ErrorCode


class ExitCode(IntEnum):
    """Exit codes of `sttd serve`; see docs/operations.md. 1 and 3 are worth a restart: the next may go better."""

    OK = 0  # drained: what was in hand is answered or back in the queue
    INTERNAL = 1  # a part of the daemon died; what was in hand is redelivered: restart
    SETTINGS = 2  # a setting is wrong; the message names it
    MODEL = 3  # the model is not on disk and cannot be fetched, or does not load
    TOPOLOGY = 4  # a queue has other arguments, is missing in `check` mode, or the user may not declare it
    SIDE_PORT = 5  # the side port cannot listen on its address


class SttdError(Exception):
    """Base of all errors of ours."""

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        """`message` is for a person and holds no speech; `details` are scalars for a program."""
        super().__init__(message)
        self.message = message
        self.details = dict(details or {})


class StartupError(SttdError):
    """The daemon cannot start; `message` names what has to change."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class SettingsError(StartupError):
    """A setting is missing, malformed or contradicts another."""

    exit_code = ExitCode.SETTINGS


class ModelUnavailable(StartupError):
    """The model is neither on disk nor at a source, or does not load."""

    exit_code = ExitCode.MODEL


class ModelMisconfigured(ModelUnavailable):
    """The settings name a model, or a way to run it, that there is not: no restart can help."""

    exit_code = ExitCode.SETTINGS


class TopologyMismatch(StartupError):
    """The broker's queues are not what this daemon needs."""

    exit_code = ExitCode.TOPOLOGY


class SidePortUnusable(StartupError):
    """The side port cannot listen: its address is taken, is not this machine's, or needs more rights."""

    exit_code = ExitCode.SIDE_PORT


class RequestFailed(SttdError):
    """One request failed. `code` is what the caller reads; codes that are `retryable` are tried again first."""

    def __init__(self, code: ErrorCode, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, details)
        self.code = code


class AudioRejected(RequestFailed):
    """The audio is at fault: no retry can help."""


class ModelFailed(RequestFailed):
    """The model raised on this audio."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.MODEL_ERROR, message)


class JobStopped(SttdError):
    """The transcription was stopped between two windows; its result is not wanted any more."""


class BusError(SttdError):
    """The broker did not take what we published."""


class Unroutable(BusError):
    """No queue takes this routing key: the broker returned the message."""


class PublishForbidden(BusError):
    """The broker refuses us this target (access control)."""


class Unconfirmed(BusError):
    """No confirm came in time, or a nack: the message may or may not be there."""


class StaleDelivery(BusError):
    """The delivery's channel is gone, so it cannot be settled; the broker delivers the message again."""


def first_line(error: BaseException) -> str:
    """The first line of a library's words, 200 characters at most: OpenVINO's begin with a place in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
    return (lines or [type(error).__name__])[0][:200]
