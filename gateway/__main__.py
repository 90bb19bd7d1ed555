"""`python -m sttd.gateway`: read the settings, run the gateway, return an exit code.

The code is 0 after a signal, 2 where a setting must change. Nothing is constructed here; see app.py.
"""

import asyncio
import ctypes
import sys
from typing import Final

from sttd.errors import SettingsInvalid
from sttd.gateway import app, settings
from sttd.service import log
from sttd.service.http_server import AddressUnusable

WRONG_SETTING = 2


_M_MMAP_THRESHOLD: Final = -3


def _give_memory_back() -> None:
    """Keep glibc from raising its threshold.

    Else freed audio would stay in the heap, and the process at its largest size.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries have none, and need none
        mallopt(_M_MMAP_THRESHOLD, 256 * 1024)


def main() -> int:
    """Run the gateway; returns the exit code."""
    try:
        loaded = settings.load()
        _give_memory_back()
        log.configure(loaded.log_format, loaded.log_level)
        asyncio.run(app.serve(loaded))
    except (settings.SettingsWrong, SettingsInvalid) as error:
        sys.stderr.write(f"sttd gateway: {error}\n")
        return WRONG_SETTING
    except AddressUnusable as error:
        sys.stderr.write(f"sttd gateway: the gateway cannot listen on {error}\n")
        return WRONG_SETTING
    return 0


if __name__ == "__main__":
    sys.exit(main())
