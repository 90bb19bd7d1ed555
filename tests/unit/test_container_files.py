"""Dockerfile, compose file and their locks, as far as they can be judged without Docker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes with ctranslate2; its types are not worth a dependency

from consumer.app import CLOSE_SECONDS
from consumer.settings import Settings
from consumer.worker import LAST_WORD

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture
def compose() -> dict[str, Any]:
    """The compose file."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return found


def locked(path: Path) -> dict[tuple[str, str], frozenset[str]]:
    """{(package, version): hashes} of a lock file."""
    found: dict[tuple[str, str], set[str]] = {}
    current: tuple[str, str] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        pinned = re.match(r"([a-z0-9._-]+)==([^ ;\\]+)", line)
        if pinned:
            current = (pinned[1], pinned[2])
            found[current] = set()
        elif current and "--hash=" in line:
            found[current].add(line.split("--hash=")[1].split()[0])
    return {package: frozenset(hashes) for package, hashes in found.items()}


def final_stage() -> str:
    """What of the Dockerfile ends up in the image."""
    return DOCKERFILE.rpartition("\nFROM ")[2]


@pytest.mark.parametrize("name", ["consumer.lock", "build.lock"])
def test_the_image_installs_what_the_tests_ran_with(name: str) -> None:
    """Same versions, same hashes as requirements.lock; after a change there, `make lock` renews these too."""
    everything = locked(ROOT / "requirements.lock")
    image = locked(ROOT / "deploy" / "image" / name)

    assert image
    assert {package: everything.get(package) for package in image} == image
    assert all(image.values())


def test_the_image_has_no_tool_of_a_maintainer() -> None:
    """What is not there needs no update and helps no intruder."""
    image = {package for package, _ in locked(ROOT / "deploy" / "image" / "consumer.lock")}

    assert {"faster-whisper", "ctranslate2", "aio-pika", "uvicorn", "av"} <= image
    assert not image & {"pytest", "mypy", "ruff", "hypothesis", "hatchling", "pika"}


def test_the_image_runs_the_daemon_as_nobody_in_particular() -> None:
    """No root, and the entry point is the process itself: a shell in between would swallow SIGTERM."""
    stage = final_stage()

    assert stage.index("\nUSER sttd") < stage.index("ENTRYPOINT")
    assert 'ENTRYPOINT ["sttd"]\nCMD ["serve"]' in stage
    assert "STTD_SIDE_HOST=0.0.0.0" in stage
    assert "/readyz" in stage.partition("HEALTHCHECK")[2]
    assert "pip install" not in stage
    assert DOCKERFILE.count("--require-hashes") == 2


def test_settings_in_the_image_and_in_compose_exist(compose: dict[str, Any]) -> None:
    """A misspelt setting would be ignored in silence."""
    known = {f"STTD_{name.upper()}" for name in Settings.model_fields}

    assert set(re.findall(r"\b(STTD_[A-Z_]+)=", DOCKERFILE)) <= known
    assert set(compose["services"]["consumer"]["environment"]) <= known


def test_what_is_copied_into_the_image_is_let_through_and_secrets_are_not() -> None:
    """.dockerignore lets through only what is listed; `.env` is not."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE) for word in line.split()[:-1]}

    assert "*" in lines
    assert all(any(word == entry or word.startswith(f"{entry}/") for entry in allowed) for word in copied)
    assert all((ROOT / entry).exists() for entry in allowed)
    assert ".env" not in allowed


def test_ports_are_published_on_the_loopback_interface_only(compose: dict[str, Any]) -> None:
    """`docker compose up` on a server with a public address shows nothing to the world."""
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_consumer_has_as_few_rights_as_it_needs(compose: dict[str, Any]) -> None:
    """It parses files of strangers: root file system read-only, no capability, no new privileges."""
    consumer = compose["services"]["consumer"]

    assert consumer["read_only"] is True
    assert consumer["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in consumer["security_opt"]
    assert "privileged" not in consumer


def test_compose_waits_for_the_drain(compose: dict[str, Any]) -> None:
    """Killed before the drain is over, notes would be done twice."""
    consumer = compose["services"]["consumer"]
    drain = float(consumer["environment"]["STTD_DRAIN_SECONDS"])
    grace = float(consumer["stop_grace_period"].removesuffix("s"))

    assert grace >= drain + 2 * LAST_WORD + CLOSE_SECONDS


def test_data_is_on_named_volumes_that_are_declared(compose: dict[str, Any]) -> None:
    """Queues and the downloaded model survive a new container."""
    used = {volume.split(":")[0] for service in compose["services"].values() for volume in service["volumes"] if not volume.startswith(".")}

    assert used == set(compose["volumes"]) == {"rabbitmq", "models", "prometheus"}
    assert compose["services"]["consumer"]["depends_on"]["rabbitmq"]["condition"] == "service_healthy"
    assert "healthcheck" in compose["services"]["rabbitmq"]


def test_prometheus_scrapes_the_port_that_the_image_opens(compose: dict[str, Any]) -> None:
    """The address in the scrape configuration is the service's name and the side port."""
    scrape = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = (job for job in scrape["scrape_configs"] if job["job_name"] == "sttd")
    (lookup,) = job["dns_sd_configs"]

    assert lookup["names"] == ["consumer"]
    assert "consumer" in compose["services"]
    assert f"EXPOSE {lookup['port']}\n" in DOCKERFILE
    assert f"STTD_SIDE_PORT={lookup['port']}" in DOCKERFILE
