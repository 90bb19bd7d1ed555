"""One example of each message, for the published contract and the docs; a test validates them by their schemas.

The values are made up, never measured.
"""

from typing import Any, Final

from sttd.schemas.cancel import Cancel
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions
from sttd.schemas.reply import (
    AudioInfo,
    Failure,
    FailureDetail,
    ModelInfo,
    Progress,
    Segment,
    Timings,
    Transcript,
    Word,
)

MESSAGE_ID: Final = "0d9f4f0e-6d0f-4a52-9a37-5b6e2f6f3c11"
CORRELATION_ID: Final = "42"
WORKER: Final = "stt-1-7"
TEXT: Final = "Купил продукты на две с половиной тысячи"

OPTIONS: Final = TranscriptionOptions(language="ru", word_timestamps=True, hotwords="продукты тысячи")

TRANSCRIPT: Final = Transcript(
    correlation_id=CORRELATION_ID,
    message_id=MESSAGE_ID,
    text=TEXT,
    language="ru",
    language_probability=1.0,
    confidence=0.91,
    duration=3.1,
    no_speech=False,
    segments=[
        Segment(
            id=0,
            start=0.0,
            end=2.9,
            text=f" {TEXT}",
            avg_logprob=-0.21,
            no_speech_prob=0.02,
            compression_ratio=0.94,
            confidence=0.91,
            words=[
                Word(start=0.1, end=0.5, word=" Купил", probability=0.98, confidence=0.97),
                Word(start=0.5, end=1.1, word=" продукты", probability=0.97, confidence=0.96),
            ],
        )
    ],
    audio=AudioInfo(duration=3.1, format="ogg", codec="opus", sample_rate=48_000, channels=1),
    model=ModelInfo(name="base", engine="faster-whisper", device="cpu", compute_type="int8"),
    timings=Timings(queued=0.02, decode=0.03, transcribe=0.6, total=0.65),
    attempt=1,
    worker=WORKER,
)

FAILURE: Final = Failure(
    correlation_id=CORRELATION_ID,
    message_id=MESSAGE_ID,
    error=FailureDetail(
        code=ErrorCode.UNSUPPORTED_MEDIA,
        message="the bytes are not in an audio format that this daemon decodes",
        retryable=ErrorCode.UNSUPPORTED_MEDIA.retryable,
    ),
    attempt=1,
    worker=WORKER,
)

PROGRESS: Final = Progress(correlation_id=CORRELATION_ID, message_id=MESSAGE_ID, fraction=0.5, text="Купил продукты")

CANCEL: Final = Cancel(cancel=MESSAGE_ID)

JSON_REQUEST: Final[dict[str, Any]] = {
    "audio": "T2dnUwACAAAAAAAAAAA=",
    "options": {"language": "ru", "word_timestamps": True},
}
"""The audio is the first bytes of an OGG file, enough to show the form."""

HEADERS: Final[dict[str, str]] = {"stt-language": "ru", "stt-word-timestamps": "true"}
