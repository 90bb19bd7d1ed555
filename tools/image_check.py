"""`python -m tools.image_check`: runs the daemon from the image's root file system, without Docker.

`make image-rootfs` makes that first. Needs a real RabbitMQ; prints a line for each check; exit code 1 at the first that
fails.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sttd import Client
from sttd.samples import samples
from tools import no_arguments
from tools.compose_check.__main__ import say
from tools.compose_check.errors import NotSo
from tools.oci import Container
from tools.rabbitmq import Node, apt
from tools.rabbitmq.plan import free_ports

WORK: Final = Path(__file__).resolve().parents[1] / ".local" / "image"
READY_SECONDS: Final = 60.0
POLL: Final = 0.2
USER: Final = 10001


def main() -> int:
    """Run every look; returns the exit code."""
    if os.geteuid() != 0 or not (WORK / "cpu.json").exists():
        sys.stderr.write("needs root, and the image's root file system: make image-rootfs\n")
        return 1
    if not shutil.which("crun"):
        apt.install("crun")
    try:
        with Node() as node, tempfile.TemporaryDirectory(prefix="sttd-image-") as folder:
            check(node, Path(folder))
    except NotSo as error:
        sys.stderr.write(f"not so: {error}\n")
        return 1
    return 0


def check(node: Node, folder: Path) -> None:
    """Start, look, ask, stop."""
    config = json.loads((WORK / "cpu.json").read_text(encoding="utf-8"))["Docker"]["config"]
    container, healthy = configured(config, node.amqp_url, folder), config["Healthcheck"]["Test"][1:]
    log = folder / "log"
    began = time.monotonic()
    running = container.start(log)
    try:
        wait(
            lambda: container.execute(*healthy).returncode == 0,
            f"the image's health check passes; log:\n{_tail(log)}",
            running.poll,
        )
        say(f"healthy by its own HEALTHCHECK after {time.monotonic() - began:.1f} s")
        look_inside(container)
        say(f"decoder children: {confinement(log)}")
        asyncio.run(ask(node.amqp_url))
        container.signal("TERM")
        code = running.wait(30)
        if code != 0:
            raise NotSo(f"exit code {code} after SIGTERM:\n{_tail(log)}")
        say("SIGTERM: drained, exit code 0")
    finally:
        running.kill()
        running.wait()


def configured(config: dict[str, Any], url: str, folder: Path) -> Container:
    """The container of this image, with the demo model and the broker's address in a credentials file."""
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    (port,) = free_ports(1)
    environment |= {
        "STTD_MODEL": "demo",
        "STTD_SIDE_PORT": str(port),
        "STTD_SLOTS": "2",
        "CREDENTIALS_DIRECTORY": "/credentials/daemon",
    }
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "STTD_AMQP_URL").write_text(url, encoding="utf-8")
    for path in (credentials, credentials / "STTD_AMQP_URL"):
        os.chown(path, USER, USER)
        path.chmod(0o500)
    (folder / "bundle").mkdir()
    container = Container(folder / "bundle", WORK / "cpu", f"sttd-{os.getpid()}")
    container.configure([*config["Entrypoint"], *config["Cmd"]], environment, {"/credentials/daemon": credentials})
    return container


def look_inside(container: Container) -> None:
    """Who it is, what it may, and what it can write."""
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{container.pid()}/status").read_text().splitlines()
        if ":\t" in line
    )
    expected = {
        "Uid": str(USER),
        "CapEff": "0000000000000000",
        "CapBnd": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }
    for name, value in expected.items():
        if status[name].split()[0] != value:
            raise NotSo(f"{name} is {status[name]}, not {value}")
    say(f"user {USER}, no capability, no new privileges, system calls filtered")
    for place in ("/x", "/opt/sttd/x", "/models/x", "/tmp/x"):  # noqa: S108 - its own
        writable = place == "/tmp/x"  # noqa: S108 - the same
        done = container.execute("sh", "-c", f"echo x > {place}")
        if (done.returncode == 0) != writable:
            raise NotSo(f"{place} {'cannot' if writable else 'can'} be written: {done.stderr}")
    say("root file system read-only, /tmp writable")


async def ask(url: str) -> None:
    """One voice note."""
    sample = next(sample for sample in samples() if sample.expect == "text")
    began = time.monotonic()
    async with Client(url) as client:
        answer = await client.transcribe(sample.path, language=sample.language, timeout=60)
    say(f"{sample.file}: {answer.text!r} in {time.monotonic() - began:.2f} s")


def confinement(log: Path) -> str:
    """What is in force in the children, by the daemon's log."""
    found: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines() if '"confined"' in line]
    return str(found[-1]["in_force"]) if found else "nothing was logged"


def wait(predicate: Callable[[], bool], what: str, ended: Callable[[], int | None]) -> None:
    """Wait until it is so; the end of the container is the end of waiting."""
    deadline = time.monotonic() + READY_SECONDS
    while not predicate():
        if ended() is not None or time.monotonic() > deadline:
            raise NotSo(what)
        time.sleep(POLL)  # another process's answer: there is nothing to wait on


def _tail(log: Path) -> str:
    return log.read_text()[-2000:] if log.exists() else ""


if __name__ == "__main__":
    no_arguments.refuse(__doc__)
    sys.exit(main())
