"""Dockerfile, its locks and what it shares with compose and Prometheus, as far as they can be judged without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes with ctranslate2; its types are not worth a dependency

from sttd.consumer.settings import Settings

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


def stage(name: str) -> str:
    """One stage of the Dockerfile, from its FROM to the next."""
    return DOCKERFILE.partition(f" AS {name}\n")[2].partition("\nFROM ")[0]


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
    cpu = stage("cpu")

    assert cpu.index("\nUSER 10001:10001") < cpu.index("ENTRYPOINT")
    assert 'ENTRYPOINT ["sttd"]\nCMD ["serve"]' in cpu
    assert "STTD_SIDE_HOST=0.0.0.0" in cpu
    assert "/readyz" in cpu.partition("HEALTHCHECK")[2]
    assert DOCKERFILE.count("pip install --require-hashes --no-deps") == 3
    for name in ("cpu", "cuda", "gateway"):
        assert "pip install" not in stage(name)
        assert "USER root" not in stage(name)


def test_the_image_declares_no_volume() -> None:
    """Each container that mounts nothing there, the gateway's for one, would leave an anonymous volume behind."""
    assert "\nVOLUME" not in DOCKERFILE


def test_every_target_of_the_image_is_made_of_the_same_daemon() -> None:
    """GPU and gateway images add to the CPU image; `docker build .` without a target is the CPU image."""
    assert "\nFROM cpu AS cuda\n" in DOCKERFILE
    assert "\nFROM cpu AS gateway\n" in DOCKERFILE
    assert DOCKERFILE.rstrip().endswith("\nFROM cpu")
    assert 'CMD ["gateway"]' in stage("gateway")
    assert "LD_LIBRARY_PATH=/opt/cuda/nvidia/cublas/lib:/opt/cuda/nvidia/cuda_nvrtc/lib" in stage("cuda")
    assert {package for package, _ in locked(ROOT / "deploy" / "image" / "gpu.lock")} >= {"nvidia-cublas-cu12"}


def test_settings_in_the_image_exist() -> None:
    """A misspelt setting would be ignored in silence."""
    known = {f"STTD_{name.upper()}" for name in Settings.model_fields} | {"STTD_GATEWAY_HOST", "STTD_GATEWAY_PORT"}

    assert set(re.findall(r"\b(STTD_[A-Z_]+)=", DOCKERFILE)) <= known


def test_what_is_copied_into_the_image_is_let_through_and_secrets_are_not() -> None:
    """.dockerignore lets through only what is listed; `.env` is not."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE)
        for word in line.split()[:-1]
    }

    assert "*" in lines
    assert all(any(word == entry or word.startswith(f"{entry}/") for entry in allowed) for word in copied)
    assert all((ROOT / entry).exists() for entry in allowed)
    assert ".env" not in allowed


def test_prometheus_scrapes_the_port_that_the_image_opens(compose: dict[str, Any]) -> None:
    """The address in the scrape configuration is the service's name and the side port."""
    scrape = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = (job for job in scrape["scrape_configs"] if job["job_name"] == "sttd")
    (lookup,) = job["dns_sd_configs"]

    assert lookup["names"] == ["consumer"]
    assert "consumer" in compose["services"]
    assert f"EXPOSE {lookup['port']}\n" in DOCKERFILE
    assert f"STTD_SIDE_PORT={lookup['port']}" in DOCKERFILE
