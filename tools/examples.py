"""`python -m tools.examples`: installs the examples' toolchains: Node with amqplib, PHP with php-amqplib.

Installs from Debian and from the lock file, whose hashes npm checks. Never runs an example; without root it prints what
to do.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools import no_arguments
from tools.rabbitmq import apt

NODE: Final = Path(__file__).resolve().parents[1] / "examples" / "node"
PHP_LIBRARY: Final = Path("/usr/share/php/PhpAmqpLib/autoload.php")
NEXT_STEP: Final = "To have them: sudo apt-get install nodejs npm php-cli php-amqplib, then python -m tools.examples"


def missing() -> list[str]:
    """The packages that the examples need and are not here, npm before Node, which comes with it.

    Empty when all is well.
    """
    found = {
        "npm": shutil.which("npm"),
        "nodejs": shutil.which("node"),
        "php-amqplib": PHP_LIBRARY.is_file(),
        "php-cli": shutil.which("php"),
    }
    return [package for package, there in found.items() if not there]


def ready() -> bool:
    """Whether every example can be run."""
    return not missing() and (NODE / "node_modules").is_dir()


def main() -> int:
    """Install what is missing.

    A machine where that is not possible is no reason to stop, but the examples' tests will fail there.
    """
    for package in missing():
        if package in missing():  # the one before may have brought it
            reason = apt.install(package)
            if package in missing():
                sys.stderr.write(f"{package} is missing ({reason})\n")
    if shutil.which("npm"):
        _npm()
    if not ready():
        sys.stderr.write(f"the tests of examples/ will fail. {NEXT_STEP}\n")
    return 0


def _npm() -> None:
    """Nothing to do as long as our lock file is no newer than the copy that npm keeps of the one it installed from."""
    installed, lock = NODE / "node_modules" / ".package-lock.json", NODE / "package-lock.json"
    if installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=NODE, stdin=subprocess.DEVNULL, check=False)  # noqa: S603 - a fixed program


if __name__ == "__main__":
    no_arguments.refuse(__doc__)
    sys.exit(main())
