"""Every service of ours in docker-compose.yml, started outside Docker with compose's command and environment."""

import contextlib
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.main import get_command

from sttd import Client
from sttd.commands import main
from tests.support import compose, second_engine
from tests.support.broker import Broker
from tests.support.notes import GROCERIES, note, spoken
from tests.support.waiting import PATIENCE, wait_for
from tools.rabbitmq.plan import free_ports

pytestmark = pytest.mark.slow("processes as compose starts them")

DOCKERFILE = (compose.ROOT / "Dockerfile").read_text(encoding="utf-8")
HAS_GATEWAY = "gateway" in getattr(get_command(main.build()), "commands", {})


def image_environment(target: str) -> dict[str, str]:
    """What the image of a target sets for us, those of the targets it is made of included."""
    stages = ("cpu",) if target == "cpu" else ("cpu", target)
    text = "".join(DOCKERFILE.partition(f" AS {stage}\n")[2].partition("\nFROM ")[0] for stage in stages)
    return {name: value for name, value in re.findall(r"\b(STTD_[A-Z_]+)=(\S+)", text) if "${" not in value}


def texts(environment: dict[str, Any]) -> dict[str, str]:
    """Numbers in YAML are text in an environment."""
    return {name: str(value) for name, value in environment.items()}


@contextlib.contextmanager
def started(name: str, folder: Path, **changed: str) -> Iterator[subprocess.Popen[bytes]]:
    """The service's command, with the image's and compose's environment; `changed`: what this machine changes."""
    service = compose.services()[name]
    home = folder / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    environment |= image_environment(service["build"]["target"]) | texts(service.get("environment", {})) | changed
    program = Path(sys.executable).with_name("sttd")
    command = [str(program), *service.get("command", ["serve"])]
    with (folder / "log").open("wb") as sink:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=sink, stderr=sink)
    try:
        yield process
        process.terminate()
        assert process.wait(PATIENCE) == 0, (folder / "log").read_text()[-2000:]
    finally:
        process.kill()
        process.wait()


def wait_for_page(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until this page answers 200; fails with the end of the process's output."""

    def answered() -> bool:
        assert process.poll() is None, log.read_text()[-2000:]
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=PATIENCE):
            return True
        return False

    wait_for(answered, f"answer of {url}", words=lambda: f":\n{log.read_text()[-2000:]}")


def credentials(folder: Path, broker: Broker) -> str:
    """The directory that `users` makes for a service, with the address of this test's broker.

    Host names of compose are mapped to loopback.
    """
    folder.mkdir()
    (folder / "STTD_AMQP_URL").write_text(broker.amqp_url, encoding="utf-8")
    return str(folder)


@pytest.fixture
def side_port() -> str:
    """Where the daemon's pages are: in a container 9464 is always free, here it may not be."""
    return str(free_ports(1)[0])


async def test_the_consumer_starts_serves_and_leaves_nothing_behind(
    broker: Broker, tmp_path: Path, side_port: str
) -> None:
    """Its health check passes, a note is answered, and neither it nor a library writes anything outside its volumes."""
    own = {"CREDENTIALS_DIRECTORY": credentials(tmp_path / "credentials", broker)}
    engine = {f"STTD_{name.upper()}": value for name, value in second_engine.settings().items()}
    own |= {"STTD_MODEL": "demo", "STTD_SIDE_PORT": side_port, "STTD_SIDE_HOST": "127.0.0.1"} | engine
    with started("consumer", tmp_path, **own) as process:
        wait_for_page(f"http://127.0.0.1:{side_port}/readyz", process, tmp_path / "log")
        async with Client(broker.amqp_url) as client:
            assert spoken((await client.transcribe(note(text=GROCERIES).path)).text) == spoken(GROCERIES)
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []
    assert broker.password not in (tmp_path / "log").read_text()


@pytest.mark.skipif(not HAS_GATEWAY, reason="this tree has no `sttd gateway`")
def test_the_gateway_starts_and_answers(broker: Broker, tmp_path: Path) -> None:
    """With the address of its own user, on the port that compose publishes."""
    port = str(free_ports(1)[0])
    own = {"CREDENTIALS_DIRECTORY": credentials(tmp_path / "credentials", broker), "STTD_MODEL": "demo"}
    side = {"STTD_SIDE_PORT": str(free_ports(1)[0]), "STTD_SIDE_HOST": "127.0.0.1"}
    (tmp_path / "gateway").mkdir()
    (tmp_path / "consumer").mkdir()
    with started("consumer", tmp_path / "consumer", **own, **side) as daemon:
        wait_for_page(f"http://127.0.0.1:{side['STTD_SIDE_PORT']}/readyz", daemon, tmp_path / "consumer" / "log")
        listen = {
            "STTD_GATEWAY_PORT": port,
            "STTD_GATEWAY_HOST": "127.0.0.1",
            "CREDENTIALS_DIRECTORY": own["CREDENTIALS_DIRECTORY"],
        }
        with started("gateway", tmp_path / "gateway", **listen) as process:
            wait_for_page(f"http://127.0.0.1:{port}/health", process, tmp_path / "gateway" / "log")


def test_the_users_service_makes_what_the_others_read(tmp_path: Path) -> None:
    """Its own command line, with its volumes as directories here."""
    service = compose.services()["users"]
    words = [word.replace("/credentials", str(tmp_path)) for word in service["command"]]
    for name in ("users", "definitions", "daemon", "gateway"):
        (tmp_path / name).mkdir()
    script = compose.ROOT / "deploy" / "rabbitmq" / Path(service["entrypoint"][1]).name
    shared = ["--users", str(tmp_path / "users"), "--definitions", str(tmp_path / "definitions")]
    subprocess.run(
        [sys.executable, str(script), *words, *shared],
        env=texts(service["environment"]),
        check=True,
        capture_output=True,
    )

    for name in ("daemon", "gateway"):
        assert urlsplit((tmp_path / name / "STTD_AMQP_URL").read_text()).hostname in compose.services()
    configuration = (compose.ROOT / "deploy" / "rabbitmq" / "rabbitmq.conf").read_text(encoding="utf-8")
    assert "load_definitions = /credentials/definitions/definitions.json" in configuration
    assert (tmp_path / "definitions" / "definitions.json").exists()
