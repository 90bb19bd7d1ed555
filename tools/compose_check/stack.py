"""The project's docker-compose.yml on the engine, as a user types it: every command is one of `docker compose`."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tools.compose_check.engine import Engine
from tools.compose_check.process import wait

OVERRIDE: Final = "services: {grafana: {profiles: [not-to-be-had]}}\n"
"""No Debian package makes Grafana: it alone is left out."""

HEALTHY_SECONDS: Final = 300.0


class Stack:
    """The services, their settings and their state."""

    def __init__(self, engine: Engine, work: Path, settings: Mapping[str, str]) -> None:
        """`work`: the engine's /mnt; `settings`: what stands in `.env`."""
        self.engine = engine
        (work / "env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
        (work / "override.yml").write_text(OVERRIDE, encoding="utf-8")

    def compose(self, *words: str) -> str:
        """`docker compose` with these words; returns what it printed."""
        files = ["--env-file", "/mnt/env", "--file", "/srv/docker-compose.yml", "--file", "/mnt/override.yml"]
        return self.engine.run("docker", "compose", "--progress", "quiet", *files, *words)

    def containers(self) -> list[dict[str, Any]]:
        """All of them, ended ones too, as `docker compose ps` tells."""
        return [json.loads(line) for line in self.compose("ps", "--all", "--format", "json").splitlines()]

    def up(self, *words: str, consumers: int = 1) -> None:
        """Start what is missing and wait until every service is healthy, with so many consumers."""
        self.compose(
            "up",
            "--detach",
            "--no-recreate",
            "--pull",
            "never",
            "--no-build",
            "--scale",
            f"consumer={consumers}",
            *words,
        )
        self.wait_healthy(consumers)

    def wait_healthy(self, consumers: int) -> None:
        """Until every service is, and `users` has done its work."""
        wanted = Counter({"rabbitmq": 1, "gateway": 1, "prometheus": 1, "consumer": consumers})

        def so() -> bool:
            found = self.containers()
            healthy = Counter(one["Service"] for one in found if one["Health"] == "healthy")
            users = [one["ExitCode"] for one in found if one["Service"] == "users" and one["State"] == "exited"]
            return healthy == wanted and users == [0]

        wait(so, "healthy services", HEALTHY_SECONDS, lambda: f"\n{self.compose('ps', '--all')}\n{self.logs()}")

    def logs(self) -> str:
        """The end of what every container said."""
        return self.compose("logs", "--no-color", "--tail", "20")

    def volumes(self) -> list[str]:
        """Every volume of the engine: anonymous ones have a hash for a name."""
        return sorted(self.engine.run("docker", "volume", "ls", "--quiet").split())
