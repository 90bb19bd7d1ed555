"""`python -m tools.examples`: makes sure that the examples' toolchains are here: Node with amqplib, PHP with php-amqplib.

Installs from Debian and from the lock file, whose hashes npm checks. Never runs an example; without root it says what to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.rabbitmq.install import apt_install

NODE: Final = Path(__file__).resolve().parents[1] / "examples" / "node"
PHP_LIBRARY: Final = Path("/usr/share/php/PhpAmqpLib/autoload.php")
NEXT_STEP: Final = "python -m tools.examples, as root or after: sudo apt-get install nodejs npm php-cli php-amqplib"


def missing() -> list[str]:
    """What the examples need and is not here; empty when all is well."""
    found = {
        "nodejs": shutil.which("node"),
        "npm": shutil.which("npm"),
        "php-cli": shutil.which("php"),
        "php-amqplib": PHP_LIBRARY.is_file(),
    }
    return [package for package, there in found.items() if not there]


def main() -> int:
    """Install what is missing; 1 with the next step if something cannot be had."""
    for package in missing():
        if package not in missing():  # nodejs from elsewhere brings npm along
            continue
        reason = apt_install(package) if os.geteuid() == 0 and shutil.which("apt-get") else "needs root and apt-get"
        if package in missing():
            sys.stderr.write(f"{package} is missing ({reason}); the tests of examples/ will fail. {NEXT_STEP}\n")
            return 1
    return _npm()


def _npm() -> int:
    """Nothing to do as long as our lock file is no newer than the copy that npm keeps of the one it installed from."""
    installed, lock = NODE / "node_modules" / ".package-lock.json", NODE / "package-lock.json"
    if installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return 0
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    return subprocess.run(command, cwd=NODE, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603 - a fixed program


if __name__ == "__main__":
    sys.exit(main())
