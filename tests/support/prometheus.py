"""A Prometheus of one's own on loopback: the committed rules, a short scrape interval, asked over its HTTP API.

Needs Debian's `prometheus`; keeps everything in one folder and ends with its `with` block.
"""

import json
import shutil
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import yaml  # type: ignore[import-untyped]  # comes with ctranslate2; its types are not worth a dependency

from tests.support.waiting import PATIENCE, wait_for
from tools.rabbitmq.plan import free_ports

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "rules"
HTTP_SECONDS = 60.0

Rewrite = Callable[[dict[str, Any]], dict[str, Any]]


def binary() -> str | None:
    """Where Prometheus is, if it is installed."""
    return shutil.which("prometheus")


class Prometheus:
    """One server. `targets` may be changed while it runs."""

    def __init__(self, folder: Path, *, interval: str = "1s", rewrite: Rewrite = lambda rule: rule) -> None:
        self._folder = folder
        self._interval = interval
        self._rewrite = rewrite
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"

    def __enter__(self) -> Self:
        program = binary()
        assert program is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        self.targets()
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(self._configuration()))
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                    "--enable-feature=exemplar-storage",
                ],
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        self.wait(self._ready, "Prometheus")
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(PATIENCE)

    def targets(self, urls: Sequence[str] = ()) -> None:
        """Scrape these side ports, from the next second on."""
        found = [{"targets": [url.removeprefix("http://") for url in urls]}] if urls else []
        fresh = self._folder / "targets.json.new"
        fresh.write_text(json.dumps(found))
        fresh.rename(self._folder / "targets.json")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate now: `[{"metric": labels, "value": [time, text]}]`. Raises `RuntimeError` with Prometheus' words."""
        return list(self._get("query", query=expression)["result"])

    def value(self, expression: str) -> float | None:
        """The only value of an expression; None where there is none."""
        found = self.query(expression)
        assert len(found) <= 1, f"{expression} has {len(found)} values"
        return float(found[0]["value"][1]) if found else None

    def names(self) -> set[str]:
        """Every metric that it has seen."""
        return {str(name) for name in self._get("label/__name__/values")}

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        return {
            str(alert["labels"]["alertname"]) for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"
        }

    def wait(self, look: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """Poll until there is something; fails after a while."""

        def found() -> Any:
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()[-2000:]
            return look()

        return wait_for(found, what, seconds)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=HTTP_SECONDS):
                return True
        except OSError:
            return False

    def _get(self, path: str, **parameters: str) -> Any:
        body = urllib.parse.urlencode(parameters).encode() if parameters else None
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", data=body, timeout=HTTP_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"{path} {parameters}: {error.read().decode()}") from error

    def _configuration(self) -> dict[str, Any]:
        rules = self._folder / "rules"
        rules.mkdir(exist_ok=True)
        for path in RULES.glob("*.yml"):
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            for group in content["groups"]:
                group["rules"] = [self._rewrite(rule) for rule in group["rules"]]
            (rules / path.name).write_text(yaml.safe_dump(content))
        return {
            "global": {
                "scrape_interval": self._interval,
                "evaluation_interval": self._interval,
                "scrape_timeout": self._interval,
            },
            "rule_files": [str(rules / "*.yml")],
            "scrape_configs": [
                {
                    "job_name": "sttd",
                    "file_sd_configs": [{"files": [str(self._folder / "targets.json")], "refresh_interval": "1s"}],
                }
            ],
        }
