"""Which RabbitMQ a private node gets: this machine's own or another Debian's, made once and never used half-made."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.rabbitmq import __main__ as command
from tools.rabbitmq import apt, container, host, install, roots
from tools.rabbitmq.errors import NodeError


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Debian 12 without any RabbitMQ, where we are root; returns where other versions are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(install.VARIABLE, raising=False)
    monkeypatch.setattr(host.Programs, "there", lambda _: False)
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"VERSION_CODENAME": "bookworm"})
    monkeypatch.setattr(apt, "install", lambda package: f"no {package}")
    monkeypatch.setattr(apt, "mirror", lambda: "http://mirror.test/debian")
    monkeypatch.setattr(container, "available", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/sbin/{name}")
    return tmp_path / "sttd" / "rabbitmq"


def debootstrap(calls: list[list[str]], then: Callable[[], None] = lambda: None) -> Callable[[list[str]], None]:
    """What makes a directory like debootstrap's, and fails at its end if `then` does."""

    def run(words: list[str]) -> None:
        calls.append(words)
        root = Path(words[-3])
        for folder in ("etc", "var/cache/apt/archives", "usr/lib/rabbitmq/lib/rabbitmq_server-4.3.6"):
            (root / folder).mkdir(parents=True)
        then()

    return run


def interrupted() -> None:
    """For example, the mirror is gone."""
    raise NodeError("debootstrap failed")


def test_another_version_is_made_once_for_all_clones(monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    """From this machine's own mirror, in a mount namespace.

    The version is printed, for other Debians have another.
    """
    calls: list[list[str]] = []
    monkeypatch.setattr(apt, "checked", debootstrap(calls))

    first, second = install.ensure("4.3"), install.ensure("4.3")

    assert first == second == host.Programs(machine / "4.3")
    assert command.named(first) == "RabbitMQ 4.3.6"
    [words] = calls
    assert words[:2] == ["unshare", "--mount"]
    assert {"forky", "http://mirror.test/debian", "--include=rabbitmq-server"} <= set(words)


def test_a_half_made_one_is_never_used(monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    """What an interrupted run left is made anew."""
    calls: list[list[str]] = []
    monkeypatch.setattr(apt, "checked", debootstrap(calls, interrupted))
    with pytest.raises(NodeError):
        install.ensure("4.3")
    assert not (machine / "4.3").exists()

    monkeypatch.setattr(apt, "checked", debootstrap(calls))
    assert install.ensure("4.3") == host.Programs(machine / "4.3")
    assert len(calls) == 2


def test_the_machines_own_version_comes_from_its_own_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Debian 12 that is 3.10: nothing is made for it."""
    monkeypatch.setattr(roots, "ensure", lambda version: pytest.fail(f"made {version}"))
    with pytest.raises(NodeError, match="apt-get: no rabbitmq-server"):
        install.ensure("3.10")

    monkeypatch.setattr(host.Programs, "there", lambda _: True)
    monkeypatch.setattr(host.Programs, "version", "3.10.8")
    assert install.ensure("3.10") == install.ensure() == host.Programs()


def test_the_environment_names_the_version_where_nobody_else_does(
    monkeypatch: pytest.MonkeyPatch, machine: Path
) -> None:
    """`make test BROKER=4.0` sets it, and every node of the run follows."""
    monkeypatch.setenv(install.VARIABLE, "4.0")
    monkeypatch.setattr(roots, "ensure", lambda version: machine / version)
    assert install.ensure() == host.Programs(machine / "4.0")
    assert install.ensure("4.3") == host.Programs(machine / "4.3")


def test_what_cannot_be_had_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without root, without debootstrap, or for a version that no Debian has: exit code 69, and nothing is tried."""
    monkeypatch.setattr(apt, "checked", lambda words: pytest.fail(f"ran {words}"))
    monkeypatch.setattr(sys, "argv", ["tools.rabbitmq", "install", "--version", "4.3"])

    monkeypatch.setattr(shutil, "which", lambda name: None if name == "debootstrap" else f"/usr/bin/{name}")
    assert command.main() == command.EX_UNAVAILABLE
    assert capsys.readouterr().err == (
        "error: RabbitMQ 4.3 is installed by debootstrap, which cannot be installed here: no debootstrap\n"
    )
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert command.main() == command.EX_UNAVAILABLE
    assert "needs root" in capsys.readouterr().err
    with pytest.raises(NodeError, match=r"no RabbitMQ 9\.9 here, only 3\.10, 4\.0, 4\.3"):
        install.ensure("9.9")


def test_its_programs_run_in_place_of_this_machines(machine: Path) -> None:
    """For the one process only, by words that become each other: its id stays, so that tests can kill and stop it."""
    scripts = machine / "4.3" / "usr" / "lib" / "rabbitmq" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "rabbitmq-server").touch()

    words = host.Programs(machine / "4.3").command("rabbitmq-server", "-x")

    assert words[-3:] == [str(machine / "4.3"), "/usr/lib/rabbitmq/bin/rabbitmq-server", "-x"]
    assert subprocess.run(["/bin/sh", "-nc", host.SWAP], check=False).returncode == 0
