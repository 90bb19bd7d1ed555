"""`python -m tools.program NAME PACKAGE`: installs a program that some tests run, where that is possible.

Never runs the program. Without root or apt-get it only prints what to do; those tests are then skipped, but in CI they
fail.
"""

from __future__ import annotations

import shutil
import sys

from tools.rabbitmq import apt


def main(name: str, package: str) -> int:
    """Install what is missing; a machine where it cannot be had is no reason to stop."""
    if shutil.which(name):
        return 0
    reason = apt.install(package)
    if not shutil.which(name):
        sys.stderr.write(
            f"{name} is missing ({reason}); tests that ask it are skipped. To have it: sudo apt-get install {package}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
