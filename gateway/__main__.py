"""`python -m gateway`: read the settings, run the gateway, exit with 0 after a signal, 2 for what a setting must change.

Nothing is constructed here; see app.py.
"""

from __future__ import annotations

import asyncio
import sys

from gateway import app, log, settings
from gateway.server import CannotListen
from sttd.errors import SettingsInvalid

WRONG_SETTING = 2


def main() -> int:
    """Run the gateway; returns the exit code."""
    try:
        loaded = settings.load()
        log.configure(loaded.log_format, loaded.log_level)
        asyncio.run(app.serve(loaded))
    except (settings.SettingsWrong, SettingsInvalid, CannotListen) as error:
        sys.stderr.write(f"sttd gateway: {error}\n")
        return WRONG_SETTING
    return 0


if __name__ == "__main__":
    sys.exit(main())
