"""What `sttd check` tells of the settings themselves: which are set, and which of them change nothing.

Shows names, never values.
"""

from collections.abc import Iterable

from sttd.commands.check.line import Line, ok, warning
from sttd.service import setting_names, setting_sources
from sttd.settings import ClientSettings


def look(client: ClientSettings) -> Line:
    """The names that are set here, in the environment, `.env` or the credentials directory."""
    return settings_line(setting_sources.names(ClientSettings), setting_sources.missing_credentials(client))


def settings_line(given: Iterable[str], missing: Iterable[str] = ()) -> Line:
    """For what no part of sttd reads among the names in `given`, the setting that was perhaps meant.

    `missing`: sentences about the credentials directory.
    """
    names = set(given)
    wrong = [(sentence, "unset it") for sentence in setting_names.removed(names)]
    wrong += [unread] if (unread := setting_names.unread(names)) else []
    wrong += [(sentence, f"put the file there, or unset {setting_sources.CREDENTIALS}") for sentence in missing]
    if wrong:
        told, steps = zip(*wrong, strict=True)
        return warning("settings", "; ".join(told), "; ".join(dict.fromkeys(steps)))
    shown = sorted(name for name in names if not name.startswith(setting_names.OTHERS))
    return ok("settings", f"{', '.join(shown) or 'none'} set; the defaults for the rest")
