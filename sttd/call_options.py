"""The keyword arguments of `Client.transcribe` that go to the daemon, for type checkers and editors.

Bounds and meaning are in schemas.options.TranscriptionOptions, and a test keeps the two equal.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypedDict
from uuid import UUID


class Options(TypedDict, total=False):
    """What one request asks of the engine; None, like an absent one, means the daemon's default."""

    language: str | None
    languages: Sequence[str] | None
    task: Literal["transcribe", "translate"] | None
    initial_prompt: str | None
    hotwords: str | None
    word_timestamps: bool | None
    progress: bool | None
    vad: bool | None
    beam_size: int | None
    temperature: float | None
    numerals: Literal["as_heard", "digits", "words"] | None
    doubtful: Literal["keep", "drop"] | None
    caller: str | int | UUID | None
    deadline: datetime | str | int | None


class CallOptions(Options, total=False):
    """And what one call asks of the client; see `Client.transcribe`."""

    timeout: float | None
    queue: str | None
    correlation_id: str | int | UUID | None
    message_id: str | int | UUID | None
