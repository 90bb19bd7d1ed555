"""`python -m tools.program NAME PACKAGE`: installs a program that some tests run, where that is possible.

Never runs the program. Without root or apt-get it only prints what to do; those tests are then skipped, but in CI they
fail.
"""

import argparse
import shutil
import sys

from tools.rabbitmq import apt


def main(name: str, package: str) -> int:
    """Install what is missing; a machine where that is not possible is no reason to stop."""
    if shutil.which(name):
        return 0
    reason = apt.install(package)
    if not shutil.which(name):
        sys.stderr.write(
            f"{name} is missing ({reason}); tests that ask it are skipped. To have it: sudo apt-get install {package}\n"
        )
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="the program, as a shell finds it")
    parser.add_argument("package", help="Debian's package that has it")
    given = parser.parse_args()
    sys.exit(main(given.name, given.package))
