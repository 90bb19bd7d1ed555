"""The daemon's settings as a benchmark needs them: its defaults and the arguments, without environment and `.env`."""

from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from sttd.consumer.settings import Settings


class PlainSettings(Settings):
    """`Settings` that reads nothing but its arguments."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes it by name
        init_settings: PydanticBaseSettingsSource,
        *_others: Any,
        **_named: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given."""
        return (init_settings,)
