"""The decoder child's refusals: one for good, and one for "not with so little room".

A message never holds a byte of the file.
"""

from typing import Any

from sttd.schemas.codes import ErrorCode


class Rejected(Exception):
    """This file is refused; the child goes on."""

    def __init__(self, code: ErrorCode, message: str, **details: Any) -> None:
        """Keep what the parent passes on to the caller: never a byte of the file."""
        super().__init__(message)
        self.code, self.message, self.details = code, message, details


class Longer(Exception):
    """The file holds more sound than there is room for now; the parent comes back with more."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how much sound it is, as far as that is known without decoding."""
        super().__init__(seconds)
        self.seconds = seconds


def too_long(max_seconds: float) -> Rejected:
    """The refusal of a file that is too long."""
    told = f"more than {max_seconds:g} seconds of audio"
    return Rejected(ErrorCode.AUDIO_TOO_LONG, told, max_audio_seconds=max_seconds)
