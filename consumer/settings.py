"""Every setting of the daemon: name, default, bounds, one sentence each. Read once, at start, by the composition root.

The only place of the daemon that reads the environment.
"""

import os
import socket
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator

from sttd.consumer import machine
from sttd.consumer.errors import SettingsError
from sttd.schemas import languages, names, reference
from sttd.schemas.options import Doubtful, NumeralForm
from sttd.schemas.validation import problems
from sttd.service import setting_sources
from sttd.service.setting_sources import BrokerSettings, SourceUnreadable

ComputeType = Literal[
    "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16", "float32"
]
"""ctranslate2's types, and `auto`. Which of them a machine has, only loading the model tells."""

Join = Literal["own", "all", "never"]
EngineName = Literal["whisper", "onnx"]

WHISPER_ONLY: Final = frozenset(
    "encoder encoder_context beam_size hotwords hotwords_file condition_on_previous_text batch_size".split()
)
"""Settings that change nothing with another engine."""


def _entries(listed: str) -> list[str]:
    return [entry.strip() for entry in listed.split(",") if entry.strip()]


class Settings(BrokerSettings):
    """The daemon's settings."""

    topology: Literal["declare", "check"] = Field(
        default="declare", description="`declare` creates queues and exchanges; `check` only checks them."
    )
    request_queue: Annotated[str, AfterValidator(names.queue_name)] = Field(
        default=names.REQUESTS, description="The queue of interactive notes; the queues beside it are named after it."
    )
    reply_queue: Annotated[str, AfterValidator(names.queue_name)] = Field(
        default=names.REPLIES, description="Where replies without reply_to go."
    )
    prefetch: Annotated[int, Field(ge=1, le=2000)] | None = Field(
        default=None,
        description="Interactive notes in hand at once; of overflow and bulk as many as slots. Default: 4 x slots.",
    )
    caller_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5,
        description="Share of the prefetch that one [caller](scheduling.md#callers) has while others wait; the rest "
        "moves to the overflow queue. 1: nothing moves.",
    )

    join: Join = Field(
        default="own",
        description="Equal requests in hand that share [one computation](scheduling.md#the-same-audio-once): `own` (of "
        "one caller or reply queue), `all`, `never`.",
    )

    engine: EngineName = Field(
        default="whisper", description="`onnx`: GigaAM, for Russian, with the extra `[onnx]` ([engines](engines.md))."
    )
    model: Annotated[str, Field(min_length=1)] = Field(
        default="base",
        description="A size (`base`, `small`, `large-v3` ...), a Hub id, a directory, or `demo` (bundled); for `onnx` "
        "`gigaam-v3-ctc`, `gigaam-v3-e2e-ctc` or a directory.",
    )
    model_cache: Path | None = Field(
        default=None, description="Directory for downloaded models. Default: the Hub library's own cache."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where the model runs; `auto` takes a GPU if there is one."
    )
    compute_type: ComputeType = Field(
        default="auto",
        description="ctranslate2's compute type; `auto` is float16 on a GPU, int8 on a CPU (7 bits without VNNI). For "
        "`onnx`: `float32` or `int8`, by the files; `auto` prefers `float32`.",
    )
    encoder: Literal["auto", "ctranslate2", "openvino"] = Field(
        default="auto", description="The encoder on a CPU; `auto` is OpenVINO where it is as exact and faster."
    )
    encoder_context: Literal["auto", "full", "short", "dynamic"] = Field(
        default="auto",
        description="How much of a window of 30 s is encoded, on a CPU; `auto` is `short` for `base`, else `full` "
        "([engine.md](engine.md#short-contexts)).",
    )
    slots: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None, description="Model calls at a time, one core each on a CPU. Default: the usable cores."
    )
    language: str = Field(default="ru", description="Language of requests that name none: a Whisper code, or `auto`.")
    beam_size: Annotated[int, Field(ge=1, le=10)] = Field(
        default=5, description="Beam width of requests that name none."
    )
    numerals: NumeralForm = Field(
        default="as_heard", description="Numbers in the [text](text.md) of requests that name no form."
    )
    doubtful: Doubtful = Field(
        default="keep", description="`drop` leaves [doubtful text](text.md#nothing-invented) out of replies."
    )
    hotwords: Annotated[str, Field(max_length=1000)] = Field(
        default="", description="[Names and terms](text.md#the-operators-words) to prefer, comma-separated."
    )
    hotwords_file: Path | None = Field(default=None, description="A file of such names and terms, by language.")
    condition_on_previous_text: bool = Field(
        default=False, description="Give each window the text before it; long notes may then end in loops."
    )

    long_audio: Literal["windows", "sequential"] = Field(
        default="windows", description="Long audio: parallel windows cut at silences, or in one go."
    )
    batch_size: Annotated[int, Field(ge=1, le=64)] = Field(
        default=16, description="Calls that may run as one batch, on a GPU."
    )

    max_body_bytes: Annotated[int, Field(ge=1024, le=512 * 1024 * 1024)] = Field(
        default=20 * 1024 * 1024,
        description="Largest message body; RabbitMQ 4 has a limit of its own, 16 MiB by default.",
    )
    s3_endpoint: str | None = Field(
        default=None,
        description="The object store of `audio_ref`, as `https://host:port`. Default: references are refused.",
    )
    s3_region: Annotated[str, Field(pattern=r"^[a-zA-Z0-9-]+$")] = Field(
        default="us-east-1", description="The object store's region."
    )
    s3_access_key: SecretStr | None = Field(
        default=None, description="The daemon's key id at the store; needs `s3:GetObject` only."
    )
    s3_secret_key: SecretStr | None = Field(default=None, description="The secret of the key id.")
    s3_buckets: str = Field(
        default="", description="Buckets, or `bucket/prefix`, that references may name, comma-separated."
    )
    s3_ca_file: Path | None = Field(
        default=None, description="Certificates to trust at the object store. Default: the system's."
    )
    max_ref_bytes: Annotated[int, Field(ge=1024, le=512 * 1024 * 1024)] = Field(
        default=32 * 1024 * 1024, description="Largest object of an `audio_ref`."
    )
    max_audio_seconds: Annotated[float, Field(gt=0, le=36_000)] = Field(default=3600, description="Longest audio.")
    decode_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=60, description="Longest time to decode one file."
    )
    job_seconds: Annotated[float, Field(gt=0, le=1680)] = Field(
        default=1200,
        description="Longest time from delivery to answer; at least two minutes below RabbitMQ's consumer timeout.",
    )
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=30, description="How long running work may go on after SIGTERM; the rest goes back to the queue."
    )

    breaker_failures: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=5,
        description="After so many different requests in a row on which model or decoder failed, no more are taken "
        "([more](operations.md#sttdbreakeropen)); 0: never.",
    )
    check_requester: bool = Field(
        default=True, description="Check before work and answer that a requester on direct reply-to is connected."
    )

    side_host: str = Field(default="127.0.0.1", description="Address of metrics and health.")
    side_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=9464, description="Port of metrics and health; 0 takes a free one and logs it."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="`console` for people, `json` for collectors."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level logged."
    )
    worker: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        description="This process's name in replies, dead letters and RabbitMQ's list of connections.",
    )

    @field_validator("language")
    @classmethod
    def _known_language(cls, value: str) -> str:
        try:
            return languages.code_or_auto(value)
        except ValueError:
            raise ValueError("must be a Whisper language code, a tag that begins with one, or `auto`") from None

    @field_validator("s3_endpoint")
    @classmethod
    def _store_address(cls, value: str | None) -> str | None:
        try:
            parts = urlsplit(value or "http://none")
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.username is not None or parts.query or parts.fragment:
            raise ValueError(
                "must be http://host:port or https://host:port; keys go into STTD_S3_ACCESS_KEY and STTD_S3_SECRET_KEY"
            )
        return value

    @field_validator("s3_buckets")
    @classmethod
    def _bucket_names(cls, value: str) -> str:
        for entry in _entries(value):
            bucket, *parts = entry.removesuffix("/").split("/")
            if not reference.is_bucket(bucket) or {"", ".", ".."} & set(parts):
                raise ValueError("must be buckets or bucket/prefix, separated by commas")
        return value

    @model_validator(mode="after")
    def _whole_store(self) -> Self:
        """Without this a half-configured store would refuse every reference, one by one, at run time."""
        if self.s3_endpoint and not (self.s3_access_key and self.s3_secret_key and _entries(self.s3_buckets)):
            raise ValueError("STTD_S3_ENDPOINT needs STTD_S3_ACCESS_KEY, STTD_S3_SECRET_KEY and STTD_S3_BUCKETS")
        return self

    @model_validator(mode="after")
    def _queues_apart(self) -> Self:
        kept, ours = {names.DEAD, names.REPLIES_DEAD, *names.RETRY_QUEUES}, names.request_queues(self.request_queue)
        if {self.request_queue, self.reply_queue} & kept or self.reply_queue in ours:
            raise ValueError("STTD_REQUEST_QUEUE and STTD_REPLY_QUEUE must name queues apart from all others of sttd")
        return self

    @model_validator(mode="after")
    def _possible_on_onnx(self) -> Self:
        if self.engine == "onnx" and self.device == "cuda":
            raise ValueError("STTD_ENGINE=onnx works on the CPU: set STTD_DEVICE=cpu")
        if self.engine == "onnx" and self.compute_type not in {"auto", "float32", "int8"}:
            raise ValueError("STTD_ENGINE=onnx has STTD_COMPUTE_TYPE auto, float32 and int8")
        return self

    @property
    def public_model(self) -> str:
        """What health pages call the model: of a directory or Hub id only the last part."""
        return self.model.rstrip("/").rpartition("/")[2]

    @property
    def allowed_references(self) -> list[tuple[str, str]]:
        """(bucket, prefix) of each entry.

        A prefix that is not empty ends with a slash, so that `a/b` does not allow `a/bc`.
        """
        split = [entry.partition("/") for entry in _entries(self.s3_buckets)]
        return [(bucket, f"{prefix.removesuffix('/')}/" if prefix else "") for bucket, _, prefix in split]

    @property
    def most_audio_bytes(self) -> int:
        """Of one file, whichever way it comes."""
        return max(self.max_body_bytes, self.max_ref_bytes) if self.s3_endpoint else self.max_body_bytes

    @property
    def notes_in_hand(self) -> int:
        """Deliveries at a time, of all queues."""
        return sum(self.lane_prefetches)

    @property
    def lane_prefetches(self) -> tuple[int, int, int, int]:
        """Of interactive, overflow, bulk and suspect: of suspects one, only then is a death of the worker its fault."""
        return self.effective_prefetch, self.effective_slots, self.effective_slots, 1

    @property
    def effective_slots(self) -> int:
        """Model calls at a time."""
        return self.slots or machine.usable_cores()

    @property
    def effective_prefetch(self) -> int:
        """Notes in hand at once."""
        return self.prefetch or 4 * self.effective_slots


def load() -> Settings:
    """Read the settings.

    Raises `SettingsError` with one clause per wrong one, never with its value (it may be a secret), or with the file
    that cannot be read.
    """
    try:
        return setting_sources.read(Settings)
    except SourceUnreadable as error:
        raise SettingsError(str(error)) from None
    except ValidationError as error:
        clauses = [f"STTD_{name.upper()}: {problem}" if name else problem for name, problem in problems(error)]
        raise SettingsError("; ".join(clauses) + " (all settings: docs/settings.md)") from None


def doubts(loaded: Settings) -> list[str]:
    """A sentence for each thing that is set and probably not meant so: misspelt, removed, unused, no broker."""
    idle = sorted(loaded.model_fields_set & WHISPER_ONLY) if loaded.engine == "onnx" else []
    unused = [f"STTD_{name.upper()} is not used: STTD_ENGINE=onnx has no such thing" for name in idle]
    return [*setting_sources.doubts(loaded), *unused]
