"""`python -m tools.systemd_check`: starts the units of deploy/systemd by a real systemd. Root only.

Prints a line per step. Exit code 0 when every step is as it should be, 1 at the first that is not, 69 where it cannot
be tried. The daemon is this tree's own, as a wheel; its dependencies are those of .venv.
"""

import asyncio
import functools
import json
import os
import re
import sys
import sysconfig
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sttd import Client
from sttd.samples import samples
from tools import no_arguments
from tools.compose_check.__main__ import reported, row
from tools.compose_check.errors import NotSo
from tools.compose_check.process import output, wait
from tools.rabbitmq import Node, apt
from tools.rabbitmq.errors import NodeError
from tools.rabbitmq.plan import free_ports
from tools.systemd_check.systemd import SECONDS, Systemd

SOURCE: Final = Path(__file__).resolve().parents[2]
DAEMON: Final = "sttd.service"
GATEWAY: Final = "sttd-gateway.service"
PROGRAM: Final = '#!/bin/sh\nexec /opt/sttd/bin/python -m sttd "$@"\n'
Ask = Callable[[], str]
LIMIT: Final = re.compile(r"^MemoryMax=(\d+)([MG])$", re.MULTILINE)
MIB: Final = {"M": 1, "G": 1024}


def main() -> int:
    """Do every step; returns the exit code."""
    return reported(everything)


def everything() -> None:
    """From a root file system to nothing. Raises `NotSo`, `NodeError`."""
    if os.geteuid() != 0:
        raise NodeError("it needs root")
    if not Path("/lib/systemd/systemd").exists() and (reason := apt.install("systemd")):
        raise NodeError(f"systemd cannot be installed: {reason}")
    with tempfile.TemporaryDirectory(prefix="sttd-systemd-") as folder, Node() as node:
        work, (daemon, gateway) = Path(folder), free_ports(2)
        lay(work, node.amqp_url, daemon, gateway)

        def ask() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{gateway}/health", timeout=SECONDS):  # 503 raises
                return asyncio.run(_answered(node.amqp_url))

        with Systemd(work, work / "tree") as systemd:
            for name, step in STEPS.items():
                row(name, functools.partial(step, systemd, ask))


def lay(work: Path, url: str, daemon: int, gateway: int) -> None:
    """What docs/install.md has an operator make: programs, units, settings and the broker's address."""
    output([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(work)], cwd=SOURCE)
    site = work / f"tree/opt/sttd/lib/python{sysconfig.get_python_version()}/site-packages"
    with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    written = {
        site / "packages.pth": "/opt/packages\n",
        work / "tree/opt/sttd/pyvenv.cfg": "home = /opt/python/bin\n",
        work / "tree/opt/sttd/bin/sttd": PROGRAM,
        work / "tree/etc/ld.so.conf.d/python.conf": "/opt/python/lib\n",
        work / "tree/etc/fstab": "",
        work / "tree/etc/sttd/daemon.url": url,
        work / "tree/etc/sttd/gateway.url": url,
        work / "tree/etc/sttd/sttd.env": f'# settings\nSTTD_MODEL="demo"\nSTTD_SLOTS=2\nSTTD_SIDE_PORT={daemon}\n',
        work / "tree/etc/sttd/gateway.env": f"STTD_GATEWAY_PORT={gateway}\n",
    } | {
        work / "tree/etc/systemd/system" / unit: (SOURCE / "deploy/systemd" / unit).read_text(encoding="utf-8")
        for unit in (DAEMON, GATEWAY)
    }
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600 if path.suffix == ".url" else 0o755 if path.name == "sttd" else 0o644)
    (work / "tree/opt/sttd/bin/python").symlink_to(Path("/opt/python/bin") / f"python{sysconfig.get_python_version()}")


def started(systemd: Systemd, ask: Ask) -> str:
    """`systemctl start` returns when notes are served."""
    systemd.run("systemctl", "start", DAEMON, GATEWAY, check=False)  # a failure's reason is in the journal
    _expect(systemd, GATEWAY, ActiveState="active")
    _expect(systemd, ActiveState="active", NRestarts="0")
    return f"{output(['/lib/systemd/systemd', '--version']).split(chr(10))[0]}; {ask()}"


def sandboxed(systemd: Systemd, _ask: Ask) -> str:
    """What the kernel holds the daemon to, and its children."""
    pid = systemd.show(DAEMON)["MainPID"]
    status = dict(line.split(":", 1) for line in systemd.run("cat", f"/proc/{pid}/status").splitlines())
    for name, value in {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}.items():
        if status[name].strip() != value:
            raise NotSo(f"{name} is {status[name].strip()}, not {value}")
    if status["Uid"].split()[0] == "0":
        raise NotSo("the daemon is root")
    enter = ("nsenter", f"--target={pid}", "--mount", "--")
    for place in ("/etc", "/opt", "/root", "/home"):
        if systemd.run(*enter, "sh", "-c", f"touch {place}/x && echo yes", check=False):
            raise NotSo(f"{place} can be written")
    told = [json.loads(line) for line in systemd.journal(DAEMON).splitlines() if '"confined"' in line]
    return f"no root, no capability, calls filtered, read-only; decoder children: {told[-1]['in_force']}"


def checked(systemd: Systemd, _ask: Ask) -> str:
    """The line of docs/install.md that runs `sttd check` with the unit's settings, comments and quotes among them."""
    page = (SOURCE / "docs/install.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\(set -a;.*?sttd check\)$", page, flags=re.MULTILINE | re.DOTALL)
    told = systemd.run("sh", "-c", f"cd /\n{line}")
    if "user, password and vhost are taken" not in told or "STTD_SIDE_PORT" not in told:
        raise NotSo(f"the unit's settings or the broker's address are missing:\n{told}")
    return f"{len(re.findall('^ok ', told, flags=re.MULTILINE))} lines ok"


def bounded(systemd: Systemd, _ask: Ask) -> str:
    """The unit's memory limit, where the machine lets its control groups have one."""
    ((number, unit),) = LIMIT.findall((SOURCE / "deploy/systemd" / DAEMON).read_text(encoding="utf-8"))
    limit = int(number) * MIB[unit]
    group = f"system.slice/{DAEMON}"
    places = f"/sys/fs/cgroup/{group}/memory.max /sys/fs/cgroup/memory/{group}/memory.limit_in_bytes"
    found = systemd.run("sh", "-c", f"cat {places} 2>/dev/null", check=False).strip()
    if found != str(limit << 20):
        raise NotSo(f"the kernel's limit is {found or 'none'}, not {limit} MiB")
    return f"{limit} MiB in the kernel's control group"


def watched(systemd: Systemd, ask: Ask) -> str:
    """A daemon that stands still misses its watchdog and is started again."""
    before = systemd.show(DAEMON)["MainPID"]
    systemd.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", DAEMON)
    wait(lambda: systemd.show(DAEMON)["NRestarts"] == "1", "restart", SECONDS)
    wait(lambda: systemd.show(DAEMON)["ActiveState"] == "active", "daemon that serves again", SECONDS)
    if "watchdog" not in systemd.journal(DAEMON).lower() or systemd.show(DAEMON)["MainPID"] == before:
        raise NotSo(systemd.journal(DAEMON)[-2000:])
    return f"stopped by SIGSTOP, killed by the watchdog, restarted; {ask()}"


def misset(systemd: Systemd, ask: Ask) -> str:
    """A wrong setting is told once, not tried for ever."""
    systemd.run("sh", "-c", "cd /etc/sttd && cp sttd.env kept && echo STTD_SLOTS=many >>sttd.env")
    systemd.run("systemctl", "restart", DAEMON, check=False)
    _expect(systemd, ActiveState="failed", ExecMainStatus="2", NRestarts="0")
    systemd.run("sh", "-c", "cd /etc/sttd && mv kept sttd.env")
    systemd.run("systemctl", "restart", DAEMON)
    return f"exit code 2 and no restart; put right: {ask()}"


def stopped(systemd: Systemd, _ask: Ask) -> str:
    """SIGTERM, the drain, the end."""
    systemd.run("systemctl", "stop", DAEMON, GATEWAY)
    for unit in (DAEMON, GATEWAY):
        _expect(systemd, unit, ActiveState="inactive", Result="success")
    return "both ended in order"


STEPS: Final = {
    "start": started,
    "sandbox": sandboxed,
    "sttd check": checked,
    "memory limit": bounded,
    "watchdog": watched,
    "wrong setting": misset,
    "stop": stopped,
}


def _expect(systemd: Systemd, unit: str = DAEMON, **wanted: str) -> None:
    found = systemd.show(unit)
    if wrong := {name: found.get(name) for name, value in wanted.items() if found.get(name) != value}:
        raise NotSo(f"{unit}: {wrong} instead of {wanted}\n{systemd.journal(unit)[-2000:]}")


async def _answered(url: str) -> str:
    sample = next(sample for sample in samples() if sample.expect == "text")
    async with Client(url) as client:
        answer = await client.transcribe(sample.path, language=sample.language, timeout=SECONDS)
    return f"{sample.file}: {answer.text!r}"


if __name__ == "__main__":
    no_arguments.refuse(__doc__)
    sys.exit(main())
