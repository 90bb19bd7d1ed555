"""`python -m tools.chromium`: makes sure that a Chromium is here for the tests that look at pages, where that is possible.

Never starts a browser. Without root or apt-get it only says what to do; those tests are then skipped, but in CI they fail.
"""

from __future__ import annotations

import os
import shutil
import sys

from tools.rabbitmq.install import apt_install

PACKAGE = "chromium"


def main() -> int:
    """Install what is missing; a machine where it cannot be had is no reason to stop."""
    if shutil.which("chromium"):
        return 0
    reason = apt_install(PACKAGE) if os.geteuid() == 0 and shutil.which("apt-get") else "needs root and apt-get"
    if not shutil.which("chromium"):
        sys.stderr.write(
            f"chromium is missing ({reason}); tests that look at pages are skipped. To have it: sudo apt-get install {PACKAGE}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
