"""Every code that a failure reply or a dead letter can carry, each with its one documented sentence.

Never decides what happens to a message (consumer/request/verdict.py does).
"""

from enum import StrEnum
from typing import Self


class ErrorCode(StrEnum):
    """Why a request failed. The value goes over the wire; `sentence` explains it; `retryable` is in every reply."""

    sentence: str
    retryable: bool

    def __new__(cls, value: str, sentence: str, retryable: bool = False) -> Self:
        """Attach the sentence and the flag to the wire value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        member.retryable = retryable
        return member

    BAD_REQUEST = (
        "bad_request",
        (
            "The request breaks the contract: an unknown or out-of-range option, one that this daemon's engine cannot "
            "honour, or a body that is not what its content type says."
        ),
    )
    BODY_TOO_LARGE = (
        "body_too_large",
        "The message body, or the object that it refers to, is larger than this daemon accepts.",
    )
    UNSUPPORTED_MEDIA = "unsupported_media", "The bytes are not in an audio format that this daemon decodes."
    AUDIO_UNREADABLE = "audio_unreadable", "The bytes look like audio, but no sound could be decoded from them."
    NO_AUDIO_STREAM = "no_audio_stream", "The file is readable media but holds no audio stream."
    AUDIO_EMPTY = "audio_empty", "There is no audio: an empty body, or a file without a single sample."
    AUDIO_TOO_LONG = "audio_too_long", "The audio is longer than this daemon accepts."
    AUDIO_REF_DENIED = (
        "audio_ref_denied",
        (
            "The reference names nothing that this daemon may read: references are off, it is not on the operator's "
            "list, or nothing is there."
        ),
    )
    AUDIO_REF_UNAVAILABLE = (
        "audio_ref_unavailable",
        "The object store did not give the audio that the request refers to, on every try.",
        True,
    )
    EXPIRED = "expired", "The deadline or the message's expiration passed before the transcript was ready."
    CANCELLED = "cancelled", "The caller cancelled the request."
    MODEL_ERROR = "model_error", "The speech model failed on this audio, on every try.", True
    INTERNAL_ERROR = "internal_error", "The daemon failed on this request, on every try.", True
    TIMED_OUT = "timed_out", "The work took longer than the daemon allows one request.", True
    POISON = "poison", "A worker died each time it had this request in hand, so it is not tried again."
    BAD_REPLY_TO = (
        "bad_reply_to",
        "The reply_to names a queue that must not receive replies; the request is in the dead-letter queue.",
    )


class DeadReason(StrEnum):
    """Why a request is in the dead-letter queue: header `sttd-reason` of the copy."""

    BAD_REPLY_TO = "bad_reply_to"
    MALFORMED = "malformed"
    RETRIES_EXHAUSTED = "retries_exhausted"
    TIMED_OUT = "timed_out"
    POISON = "poison"
    UNPUBLISHABLE = "unpublishable"
    """No copy could be published; the broker dead-lettered the request itself, without the daemon's headers."""
