"""Every setting of the gateway: name, default, bounds, one sentence each. The composition root reads it at start."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator

from sttd import settings as client
from sttd.schemas.options import LONGEST_CALLER
from sttd.service import setting_sources
from sttd.service.setting_sources import SourcedSettings, SourceUnreadable

MEBIBYTE = 1024 * 1024
SHORTEST_TOKEN = 16
ANY_ORIGIN = "*"
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?/?")
_USUAL_PORTS = {"http": "80", "https": "443"}


class SettingsWrong(Exception):
    """A setting is malformed; the message names it, never its value."""


@dataclass(frozen=True, slots=True)
class NamedToken:
    """A bearer token, and its owner's name if it has one."""

    secret: str = field(repr=False)
    name: str | None = None


class GatewaySettings(SourcedSettings):
    """The gateway's own settings; it reads the client's as well."""

    gateway_host: str = Field(
        default="127.0.0.1", description="Address of the gateway; `0.0.0.0` for bots on other hosts (set the firewall)."
    )
    gateway_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=5000, description="The gateway's port; 0 takes a free one and logs it."
    )
    gateway_tokens: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer tokens, comma-separated, 16 characters or more each, or `name=token`: the name is the "
        "[caller](scheduling.md#callers) of what comes with it; empty: none needed.",
    )
    gateway_origins: str = Field(
        default="",
        description="Origins of other web pages that may call it, comma-separated (`https://bot.example`), or `*`.",
    )
    gateway_max_upload_bytes: Annotated[int, Field(ge=1024, le=512 * MEBIBYTE)] = Field(
        default=20 * MEBIBYTE, description="Largest audio file; more is 413."
    )
    gateway_memory_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * MEBIBYTE)] = Field(
        default=48 * MEBIBYTE, description="Audio of all requests together; more is 429."
    )
    gateway_upload_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=60, description="Longest time of one upload; slower ones are 408."
    )
    gateway_timeout: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=300, description="Longest time from upload to answer, and the request's deadline; later is 504."
    )
    gateway_grace_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=10, description="How long a new call waits for a daemon or broker that is away; then it is 503."
    )
    gateway_max_queued: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        default=500, description="Most requests that wait; more are 429."
    )
    gateway_drain_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=30, description="How long running answers may go on after SIGTERM; the rest is cancelled."
    )
    model: Annotated[str, Field(min_length=1)] = Field(
        default="base", description="The model's name on `/health` and `/v1/models`; loads nothing."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="`console` for people, `json` for collectors."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level that is logged."
    )

    @field_validator("gateway_tokens")
    @classmethod
    def _guessable(cls, value: SecretStr) -> SecretStr:
        if any(len(token) < SHORTEST_TOKEN or not token.isascii() or " " in token for token in _split(value)):
            raise ValueError(
                f"each token has {SHORTEST_TOKEN} ASCII characters or more and no space (`openssl rand -hex 16` makes "
                "one)"
            )
        if any(map(_half_named, _split(value))):
            raise ValueError(
                f"of `name=token` the token has {SHORTEST_TOKEN} characters or more, the name {LONGEST_CALLER} or fewer"
            )
        return value

    @field_validator("gateway_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        return ",".join(_origin(part.strip()) for part in value.split(",") if part.strip())

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins, apart, as browsers write them."""
        return tuple(filter(None, self.gateway_origins.split(",")))

    @property
    def tokens(self) -> tuple[NamedToken, ...]:
        """The tokens, one by one."""
        return tuple(map(_token, _split(self.gateway_tokens)))

    @property
    def public_model(self) -> str:
        """The model's name for callers, as the old service gave it: `whisper-base`.

        Of a directory or Hub id only the last part.
        """
        return f"whisper-{self.model.rstrip('/').rpartition('/')[2]}"


def _origin(given: str) -> str:
    """An origin as browsers write it: small letters, no path, no usual port."""
    if given == ANY_ORIGIN:
        return given
    found = _ORIGIN.fullmatch(given.lower())
    if found is None:
        raise ValueError("each origin is scheme://host or scheme://host:port (https://bot.example), or * for any")
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and port != _USUAL_PORTS.get(scheme) else "")


def _token(given: str) -> NamedToken:
    """`name=token`, or a token; one of those may end with `=` itself."""
    name, _, secret = given.partition("=")
    return NamedToken(secret, name) if len(secret) >= SHORTEST_TOKEN else NamedToken(given)


def _half_named(given: str) -> bool:
    """Whether it looks like `name=token` with a token too short or a name too long; only `=` may end a token."""
    name, _, secret = given.partition("=")
    return bool(secret.strip("=")) and (len(secret) < SHORTEST_TOKEN or len(name) > LONGEST_CALLER)


def _split(tokens: SecretStr) -> tuple[str, ...]:
    return tuple(token.strip() for token in tokens.get_secret_value().split(",") if token.strip())


def load() -> GatewaySettings:
    """Read the settings.

    Raises `SettingsWrong` with one clause per wrong one, never with its value (it may be a secret), or with the file
    that cannot be read.
    """
    try:
        return setting_sources.read(GatewaySettings)
    except SourceUnreadable as error:
        raise SettingsWrong(str(error)) from None
    except ValidationError as error:
        raise SettingsWrong(f"{client.complaints(error)} (all settings: docs/settings.md)") from None


def doubts() -> list[str]:
    """A sentence for each thing that is set and probably not meant so. Raises `sttd.errors.SettingsInvalid`."""
    return setting_sources.doubts(client.load())
