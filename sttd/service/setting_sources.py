"""Where settings come from, for daemon, gateway and client: the environment, `.env`, files of a credentials directory.

What is wrong with a source is one sentence that names it, the reason and the next step; never a value.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import Field, SecretStr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from sttd.service import broker_address, setting_names
from sttd.service.setting_names import PREFIX

CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
"""The service manager's (systemd, compose, Kubernetes): so the broker's password is in no environment."""


class SourceUnreadable(Exception):
    """A file with settings is there and cannot be read; the message is for a person."""


class CredentialFiles(PydanticBaseSettingsSource):
    """The files of the credentials directory, each named as a setting, in any case; an empty one counts as absent.

    pydantic's own source passes over a directory in a file's place, and ends with a traceback where it may not read.
    """

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        """Look which files there are. Raises `SourceUnreadable`."""
        super().__init__(settings_cls)
        self._files = credential_files()

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - pydantic's
        """The file's text, without space around it, or None. Raises `SourceUnreadable`."""
        path = self._files.get(f"{PREFIX}{field_name.upper()}")
        if path is None:
            return None, field_name, False
        with _readable(path):
            return path.read_text(encoding="utf-8").strip() or None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """All that the files set."""
        fields = self.settings_cls.model_fields.items()
        return {name: text for name, field in fields if (text := self.get_field_value(field, name)[0]) is not None}


class SourcedSettings(BaseSettings):
    """Settings that are read from `STTD_<NAME>`, from `.env`, or from a credentials file, in this order."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - ours takes its place
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is passed in wins, then the environment."""
        return init_settings, env_settings, dotenv_settings, CredentialFiles(settings_cls)


class BrokerSettings(SourcedSettings):
    """Those of a part that connects to RabbitMQ."""

    amqp_url: SecretStr = Field(
        default=SecretStr("amqp://guest:guest@127.0.0.1:5672/"),
        description="RabbitMQ's amqp:// or amqps:// URL; for a cluster one for each node, comma-separated.",
    )

    @field_validator("amqp_url")
    @classmethod
    def _amqp_scheme(cls, value: SecretStr) -> SecretStr:
        return broker_address.checked(value)

    @property
    def broker(self) -> str:
        """The broker's address for people: no user, no password."""
        return broker_address.shown(self.amqp_url)


S = TypeVar("S", bound=SourcedSettings)


def read(settings: type[S], **given: Any) -> S:
    """Read them all; what is given wins. Raises `SourceUnreadable`, and pydantic's `ValidationError`."""
    env_file = Path(str(settings.model_config.get("env_file") or ".env"))
    with _readable(env_file):  # the only file here that is not one of `CredentialFiles`
        return settings(**given)


def credential_files() -> dict[str, Path]:
    """The files of ours in the credentials directory by setting; none without one. Raises `SourceUnreadable`."""
    named = os.environ.get(CREDENTIALS)
    if not named:
        return {}
    with _readable(Path(named), "make it a directory"):
        try:
            found = list(Path(named).iterdir())
        except FileNotFoundError:  # `missing_credentials` tells it
            return {}
    return {path.name.upper(): path for path in found if path.name.upper().startswith(PREFIX)}


def names(settings: type[SourcedSettings]) -> set[str]:
    """The names of ours that are set here, in capitals, whether some part reads them or not."""
    given = (*os.environ, *DotEnvSettingsSource(settings).env_vars, *credential_files())
    return {name.upper() for name in given if name.upper().startswith(PREFIX)}


def doubts(settings: BrokerSettings) -> list[str]:
    """A sentence for each thing that is probably not meant so, for the log of a start."""
    given = names(type(settings))
    unread = setting_names.unread(given)
    return [*setting_names.removed(given), *([": ".join(unread)] if unread else []), *missing_credentials(settings)]


def missing_credentials(settings: BrokerSettings) -> list[str]:
    """Where a credentials directory is named and gives no address of the broker: without this `guest` is tried."""
    directory = os.environ.get(CREDENTIALS)
    if not directory:
        return []
    said = []
    if not Path(directory).exists():
        said.append(f"{CREDENTIALS}: there is no directory {directory}, so no setting was read from it")
    if "amqp_url" not in settings.model_fields_set:
        said.append(
            f"{PREFIX}AMQP_URL is set nowhere: not in the environment, not in .env, and {directory} has no file of "
            f"that name with text in it; the default is tried, guest at {settings.broker}"
        )
    return said


@contextmanager
def _readable(path: Path, step: str = "make it a text file in UTF-8") -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        with suppress(OSError):  # of a working directory that was deleted
            path = path.absolute()
        raise SourceUnreadable(
            f"{path} cannot be read ({reason}): {step} that the user of this process may read, or remove it"
        ) from None
