"""The daemon's answers: transcript, failure or progress, and the id that marks duplicates of one answer.

Readers ignore unknown fields; fields are added, never renamed.
"""

import hashlib
from typing import Annotated, Any, Final, Literal, get_args
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sttd.schemas.codes import ErrorCode
from sttd.schemas.names import MessageType

REPLY_NAMESPACE: Final = UUID("5f0f9f5c-6f5e-5b0e-9c4b-2f6a1d7c3e11")
"""Namespace of `stt-reply-id`; never changes."""

Seconds = Annotated[float, Field(ge=0)]

Confidence = Annotated[
    Annotated[float, Field(ge=0, le=1)] | None,
    Field(description="Expected share of right words, 0 to 1; null where it was not measured for the model."),
]


# As the published contract has them: a description is not wrapped at the width of this file.
_SEGMENT = (
    "One stretch of speech; times in seconds from the start of the audio.\n\n"
    "`flags` says what makes the text doubtful; nothing is left out because of it unless `doubtful` asks for that. "
    "Readers ignore flags that they do not know."
)
_AUDIO_INFO = (
    "What was found in the file. `truncated` and `bad_packets` say that something is missing.\n\n"
    "`duration`: what was decoded, `gaps` in it: silence in place of holes in the file's own times, "
    "`declared_duration`: what the\nfile says of itself (null when it does not), all in seconds. `track`: which of its "
    "`tracks` of audio was decoded, from 1 on."
)


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Word(_Wire):
    """One word; times in seconds from the start of the audio."""

    start: Seconds
    end: Seconds
    word: str
    probability: float
    confidence: Confidence = None


SegmentFlag = Literal["silence_phrase", "repetition", "no_speech", "too_dense", "improbable"]


class Segment(_Wire):
    """One stretch of speech; times in seconds from the start of the audio."""

    model_config = ConfigDict(json_schema_extra={"description": _SEGMENT})

    id: int
    start: Seconds
    end: Seconds
    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    words: list[Word] | None = None
    confidence: Confidence = None
    flags: list[str] = Field(default_factory=list, json_schema_extra={"examples": [list(get_args(SegmentFlag))]})


class AudioInfo(_Wire):
    """What was found in the file; its lengths are in seconds."""

    model_config = ConfigDict(json_schema_extra={"description": _AUDIO_INFO})

    duration: Seconds
    format: str
    codec: str
    sample_rate: int
    channels: int
    truncated: bool = False
    bad_packets: int = 0
    declared_duration: float | None = None
    track: int = Field(default=1, ge=1)
    tracks: int = Field(default=1, ge=1)
    gaps: Seconds = 0.0


class ModelInfo(_Wire):
    """Which model answered, and on what."""

    name: str
    engine: str
    device: str
    compute_type: str


class Timings(_Wire):
    """Where the time went, in seconds. `queued` needs the request's `timestamp`; null without one."""

    queued: float | None = None
    decode: Seconds
    transcribe: Seconds
    total: Seconds


class Transcript(_Wire):
    """The answer to a request that went well; silence is one of them (`no_speech`, empty text)."""

    status: Literal["completed"] = "completed"
    correlation_id: str | None
    message_id: str | None
    text: str
    raw_text: str | None = Field(
        default=None, description="The text as it was heard, where `numerals` asked for another; else null."
    )
    language: str
    language_probability: float
    confidence: Confidence = None
    duration: Seconds
    no_speech: bool
    segments: list[Segment]
    dropped: list[Segment] = Field(
        default_factory=list,
        description="What `doubtful: drop` left out of `segments` and `text`; ids are those of all segments together.",
    )
    audio: AudioInfo
    model: ModelInfo
    timings: Timings
    attempt: int = Field(ge=1)
    worker: str
    joined: bool = Field(
        default=False, description="Whether the text was computed for an equal request at the same time."
    )
    ignored: list[str] = Field(
        default_factory=list, description="Options of the request that this daemon's engine has no use for."
    )


class FailureDetail(_Wire):
    """Why it failed: a code for the program, a message for the person."""

    code: str = Field(
        description="One of the documented codes; readers treat an unknown one by `retryable`.",
        json_schema_extra={"examples": [str(code) for code in ErrorCode]},
    )
    message: str
    retryable: bool
    details: dict[str, Any] = Field(default_factory=dict)


class Failure(_Wire):
    """The answer to a request that could not be served."""

    status: Literal["failed"] = "failed"
    correlation_id: str | None
    message_id: str | None
    error: FailureDetail
    attempt: int = Field(ge=1)
    worker: str


class Progress(_Wire):
    """Sent before the transcript when the request asks for `progress`; never the last message."""

    status: Literal["progress"] = "progress"
    correlation_id: str | None
    message_id: str | None
    fraction: float = Field(ge=0, le=1)
    text: str


Reply = Annotated[Transcript | Failure | Progress, Field(discriminator="status")]
REPLY: Final[TypeAdapter[Transcript | Failure | Progress]] = TypeAdapter(Reply)

TYPE_OF: Final[dict[type[_Wire], MessageType]] = {
    Transcript: MessageType.TRANSCRIPT,
    Failure: MessageType.FAILURE,
    Progress: MessageType.PROGRESS,
}


def reply_id(*, message_id: str | None, reply_to: str | None, correlation_id: str | None, body: bytes) -> str:
    """The `stt-reply-id` of the answer to one request: equal for every duplicate of it, on any worker.

    The arguments are the request's properties and its body as received. Returns a UUID as text.
    """
    if message_id:
        return str(uuid5(REPLY_NAMESPACE, f"message:{message_id}"))
    digest = hashlib.sha256(body).hexdigest()
    return str(uuid5(REPLY_NAMESPACE, f"request:{reply_to or ''}\n{correlation_id or ''}\n{digest}"))
