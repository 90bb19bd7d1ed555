"""The systemd units: systemd's own verdict where it is installed, and what they share with the daemon's tables."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from sttd.consumer.app import CLOSE_SECONDS
from sttd.consumer.audio import confine
from sttd.consumer.audio.seccomp import _CALLS
from sttd.consumer.errors import ExitCode
from sttd.consumer.request.worker import LAST_WORD
from sttd.consumer.settings import Settings
from tests.support import compose

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
MOST_EXPOSURE = 20  # tenths, of 100: systemd calls up to 29 "OK", and a service without sandbox 96
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(
    ANALYZE is None and not os.environ.get("CI"),
    reason="no systemd-analyze: python -m tools.program systemd-analyze systemd",
)
"""In CI it is installed, and its absence an error."""


def options(unit: Path) -> dict[str, list[str]]:
    """The unit's settings; one may come more than once."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Za-z]+)=(.*)$", unit.read_text(encoding="utf-8"), flags=re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


SERVICE = options(FOLDER / "sttd.service")


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """Ask systemd."""
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *words], capture_output=True, text=True, timeout=120, check=False)


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    """A misspelt option is only a warning, and a missing sandbox."""
    here = tmp_path / unit.name
    here.write_text(unit.read_text(encoding="utf-8").replace("/opt/sttd/bin/sttd", sys.executable), encoding="utf-8")
    done = analyze("verify", str(here))

    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_sandbox_is_tight(unit: Path) -> None:
    """By systemd's own score."""
    done = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSURE}", str(unit))

    assert done.returncode == 0, done.stdout


@needs_systemd
def test_the_sandbox_lets_the_daemon_and_its_children_work() -> None:
    """The decoder child makes a namespace, drops capabilities and filters its own calls: the unit must allow that."""
    allowed = allowed_calls(SERVICE["SystemCallFilter"])

    assert {"unshare", "capset", "prctl", "prlimit64"} <= allowed
    assert set(_CALLS["x86_64"][1]) <= allowed
    assert not {"mount", "ptrace", "bpf", "init_module", "reboot", "keyctl", "chown"} & allowed
    assert SERVICE["RestrictNamespaces"] == ["user net"]
    assert confine.NO_NETWORK in confine.EVERYTHING
    assert "MemoryDenyWriteExecute" not in SERVICE


def allowed_calls(filters: list[str]) -> set[str]:
    """What a list of SystemCallFilter lines lets through, in their order."""
    allowed: set[str] = set()
    for line in filters:
        names = {name for word in line.removeprefix("~").split() for name in group(word)}
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def group(word: str) -> set[str]:
    """The calls of one word: its own name, or those of a group and of the groups within it."""
    if not word.startswith("@"):
        return {word}
    return {name for line in groups()[word] for name in group(line)}


@cache
def groups() -> dict[str, list[str]]:
    """Systemd's own table of groups."""
    found: dict[str, list[str]] = {}
    for line in analyze("syscall-filter").stdout.splitlines():
        if line.startswith("@"):
            current = found.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            current.append(line.strip())
    return found


def test_restarts_follow_the_table_of_exit_codes() -> None:
    """Codes that need a person are not tried again and again; 3 may mend itself when the network is back."""
    assert SERVICE["Restart"] == ["on-failure"]
    assert {int(code) for code in SERVICE["RestartPreventExitStatus"][0].split()} == {
        ExitCode.SETTINGS,
        ExitCode.TOPOLOGY,
        ExitCode.SIDE_PORT,
    }
    assert SERVICE["SuccessExitStatus"] == ["130 143"]


def test_systemd_waits_for_the_drain_and_feeds_a_watchdog() -> None:
    """Killed before the drain is over, notes would be done twice."""
    drain = float(re.findall(r"STTD_DRAIN_SECONDS=(\d+)", SERVICE["Environment"][0])[0])

    assert float(SERVICE["TimeoutStopSec"][0]) >= drain + 2 * LAST_WORD + CLOSE_SECONDS
    assert SERVICE["Type"] == ["notify"]
    assert float(SERVICE["WatchdogSec"][0]) > CLOSE_SECONDS
    assert SERVICE["KillMode"] == ["mixed"]


def test_settings_in_the_units_exist() -> None:
    """A misspelt setting would be ignored in silence."""
    known = {f"STTD_{name.upper()}" for name in Settings.model_fields}

    assert set(re.findall(r"STTD_\w+", " ".join(SERVICE["Environment"]))) <= known
    assert SERVICE["LoadCredential"] == ["STTD_AMQP_URL:/etc/sttd/daemon.url"]


def test_the_memory_limit_is_that_of_compose() -> None:
    """One bound, one figure; see test_compose_file.py."""
    assert compose.size(SERVICE["MemoryMax"][0]) == compose.size(compose.services()["consumer"]["mem_limit"])
