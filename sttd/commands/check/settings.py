"""The names of settings that `sttd check` does not know: one that is misspelt changes nothing.

Shows names, never values.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from pydantic_settings import DotEnvSettingsSource

from sttd.commands.check.line import Line, ok, warning
from sttd.settings import ClientSettings

PREFIX: Final = "STTD_"

OTHERS: Final = ("STTD_RABBITMQ_", "STTD_MEMORY_LIMIT", "STTD_PRIVATE_NODE")
"""Of docker-compose.yml, whose `.env` may be the one here, and of `make run`."""


def look() -> Line:
    """The names that are set here, in the environment or in `.env`."""
    return settings_line({*os.environ, *DotEnvSettingsSource(ClientSettings).env_vars})


def settings_line(names: Iterable[str]) -> Line:
    """Those of ours among `names`, and for each that no part of sttd reads the one that was perhaps meant."""
    given = sorted(
        {name.upper() for name in names if name.upper().startswith(PREFIX) and not name.upper().startswith(OTHERS)}
    )
    known = _known()
    unread = [name for name in given if name not in known]
    if not unread:
        return ok("settings", f"{', '.join(given) or 'none'} set; the defaults for the rest")
    meant = [match for name in unread for match in get_close_matches(name, known, n=1, cutoff=0.8)]
    step = (
        f"did you mean {', '.join(meant)}? All settings: docs/settings.md"
        if meant
        else "all settings: docs/settings.md"
    )
    return warning("settings", f"no part of sttd reads {', '.join(unread)}", step)


def _known() -> set[str]:
    from sttd.consumer.settings import Settings  # noqa: PLC0415 - commands import the daemon lazily
    from sttd.gateway.settings import GatewaySettings  # noqa: PLC0415 - and the gateway

    fields = (*Settings.model_fields, *GatewaySettings.model_fields, *ClientSettings.model_fields)
    return {f"{PREFIX}{name.upper()}" for name in fields}
