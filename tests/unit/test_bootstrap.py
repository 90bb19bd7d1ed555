"""`make setup`: what a newcomer sees while the environment is built, with a pip that installs nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "bootstrap.sh"
PIP = """#!/bin/sh
case "$*" in
*--version*) exit 0 ;;
*requirements.lock*) echo "Collecting one"; echo "the reason"; exit {code} ;;
esac
"""


def setup(tree: Path, code: int) -> subprocess.CompletedProcess[str]:
    """Run the script in a tree of two locked packages, where pip ends with this exit code."""
    (tree / "tools").mkdir()
    (tree / ".venv/bin").mkdir(parents=True)
    shutil.copy(SCRIPT, tree / "tools")
    (tree / "requirements.lock").write_text("one==1\ntwo==2\n")
    fake = tree / ".venv/bin/python"
    fake.write_text(PIP.format(code=code))
    fake.chmod(0o755)
    environment = os.environ | {"PYTHON": sys.executable}
    return subprocess.run([tree / "tools/bootstrap.sh"], env=environment, capture_output=True, text=True, check=False)


def test_the_installation_says_how_much_there_is_and_how_long_it_takes(tmp_path: Path) -> None:
    """It takes longer than anything else in the first hour."""
    done = setup(tmp_path, 0)
    assert done.returncode == 0, done.stderr
    assert "2 locked packages" in done.stdout
    assert "minute" in done.stdout


@pytest.mark.parametrize("code", [1, 23])
def test_an_installation_that_fails_shows_the_reason_and_fails_too(tmp_path: Path, code: int) -> None:
    """The installer works in the background, behind a line that moves; its failure must not be lost there."""
    done = setup(tmp_path, code)
    assert done.returncode == 1
    assert "the reason" in done.stderr
    assert "setup.log" in done.stderr
