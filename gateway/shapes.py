"""The bodies of answers: those of the old service, and those of OpenAI's API.

The OpenAPI document is made from these models. Pure; never invents a figure: what the daemon does not report is left
out or empty.
"""

from math import ceil
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sttd.schemas.reply import Segment, Transcript

_CONFIDENCE = "Expected share of right words, 0 to 1; absent where it was not measured for the model."
_DROPPED = "Texts that `doubtful=drop` left out; absent where there are none."
_SEGMENT = (
    "One stretch of speech; times in seconds. The daemon does not tell `tokens`; `seek` is the start in hundredths of "
    "a second."
)


class Body(BaseModel):
    """What all bodies have in common."""

    model_config = ConfigDict(frozen=True)


class OldTranscript(Body):
    """The old service's answer; `duration` in seconds."""

    text: str
    language: str = Field(description="Whisper language code.", examples=["ru"])
    duration: float
    confidence: float | None = Field(default=None, description=_CONFIDENCE)
    dropped: list[str] | None = Field(default=None, description=_DROPPED)

    @classmethod
    def of(cls, found: Transcript) -> "OldTranscript":
        """The three fields of a transcript that the old service had, its confidence, and what was dropped."""
        return cls(
            text=found.text,
            language=found.language,
            duration=found.duration,
            confidence=found.confidence,
            dropped=dropped(found),
        )


class OldError(Body):
    """The old service's failure."""

    error: str


class Health(Body):
    """The old service's health; `error` says why it is not ok."""

    status: Literal["ok", "unavailable"]
    model: str = Field(examples=["whisper-base"])
    error: str | None = None


class Usage(Body):
    """What was billed elsewhere and is counted only here: whole seconds of audio."""

    type: Literal["duration"] = "duration"
    seconds: int


class Text(Body):
    """`response_format=json`."""

    text: str
    usage: Usage
    dropped: list[str] | None = Field(default=None, description=_DROPPED)


class VerboseSegment(Body):
    """One stretch of speech; times in seconds."""

    model_config = ConfigDict(json_schema_extra={"description": _SEGMENT})

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int] = Field(default_factory=list)
    temperature: float = 0.0
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    confidence: float | None = Field(default=None, description=_CONFIDENCE)

    @classmethod
    def of(cls, found: Segment) -> "VerboseSegment":
        """A segment as OpenAI has it."""
        given = found.model_dump(
            include={"id", "start", "end", "text", "avg_logprob", "compression_ratio", "no_speech_prob", "confidence"}
        )
        return cls(seek=round(found.start * 100), **given)


class VerboseWord(Body):
    """One word; times in seconds."""

    word: str
    start: float
    end: float
    confidence: float | None = Field(default=None, description=_CONFIDENCE)


class Verbose(Body):
    """`response_format=verbose_json`; `segments` and `words` as `timestamp_granularities` asks."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[VerboseSegment] | None = None
    words: list[VerboseWord] | None = None
    truncated: Literal[True] | None = Field(None, description="Sound that the file had is missing from it.")
    usage: Usage
    dropped: list[str] | None = Field(default=None, description=_DROPPED)


class Delta(Body):
    """A piece of text that was added; `fraction` of the audio is done."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str
    fraction: float | None = None


class Done(Body):
    """The whole text, at the end. With `response_format=verbose_json` also what that has."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    language: str | None = None
    duration: float | None = None
    segments: list[VerboseSegment] | None = None
    words: list[VerboseWord] | None = None
    truncated: Literal[True] | None = None
    usage: Usage | None = None
    dropped: list[str] | None = Field(default=None, description=_DROPPED)


class Model(Body):
    """One model by name."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "sttd"


class Models(Body):
    """The models that may be named; the daemon has one, whatever a call names."""

    object: Literal["list"] = "list"
    data: list[Model]


class OpenAIProblem(Body):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(Body):
    """OpenAI's failure."""

    error: OpenAIProblem


def usage(found: Transcript) -> Usage:
    """Seconds of audio, rounded up."""
    return Usage(seconds=ceil(found.duration))


def verbose(found: Transcript, task: Literal["transcribe", "translate"], granularities: frozenset[str]) -> Verbose:
    """The long answer; a translation is in English, whatever was spoken.

    `granularities`: `segment`, `word` or both, for the lists that it holds.
    """
    return Verbose(
        task=task,
        language="en" if task == "translate" else found.language,
        duration=found.duration,
        text=found.text,
        segments=[VerboseSegment.of(segment) for segment in found.segments] if "segment" in granularities else None,
        words=words(found) if "word" in granularities else None,
        truncated=found.audio.truncated or None,
        usage=usage(found),
        dropped=dropped(found),
    )


def dropped(found: Transcript) -> list[str] | None:
    """The texts that were left out as doubtful; None for none, so that the field is absent."""
    return [segment.text.strip() for segment in found.dropped] or None


def words(found: Transcript) -> list[VerboseWord]:
    """All words in order."""
    return [
        VerboseWord(word=word.word.strip(), start=word.start, end=word.end, confidence=word.confidence)
        for segment in found.segments
        for word in segment.words or ()
    ]
