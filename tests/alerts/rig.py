"""The processes around one daemon whose alerts are to fire: a broker, a proxy, a Prometheus with shorter rules.

The faults are in faults.py.
"""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pika

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess, children
from tests.support.notes import short_notes
from tests.support.prometheus import Prometheus
from tests.support.proxy import Proxy
from tests.support.waiting import PATIENCE
from tools.rabbitmq import Node
from tools.rabbitmq.plan import free_ports

INJECT = Path(__file__).parent / "inject"
WINDOWS = {"5m": "10s", "10m": "10s", "15m": "15s", "30m": "40s", "1h": "20s"}
"""What each window of the committed rules becomes here."""

HOLD = "1s"
"""What each `for` becomes."""


def hastened(rule: dict[str, Any]) -> dict[str, Any]:
    """The same rule with shorter windows; thresholds stay. Raises `KeyError` for a window that is not in the table."""
    windows = re.sub(r"\[(\w+)\]", lambda found: f"[{WINDOWS[found[1]]}]", rule["expr"])
    return rule | {"expr": windows} | ({"for": HOLD} if "for" in rule else {})


class Rig:
    """One daemon and those who watch it. `restart` changes its settings; its side port stays the same."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node = node
        self.broker = Broker(node)
        self.proxy = Proxy(("127.0.0.1", urlsplit(node.amqp_url).port or 5672))
        self.prometheus = Prometheus(folder / "prometheus", rewrite=hastened)
        self._folder = folder
        self.sick = folder / "sick"  # while this file is there, the engine of a daemon that was told of it fails
        self._side_port = free_ports(1)[0]
        self._lives = 0
        self._stack = contextlib.ExitStack()
        self.daemon: DaemonProcess

    def __enter__(self) -> Self:
        with self._stack as stack:
            for part in (self.broker, self.proxy, self.prometheus):
                stack.enter_context(part)
            stack.callback(self._end)
            self.start()
            self.watch()
            self.until(lambda: self.prometheus.value("sttd_ready"), "first scrape of a daemon that serves")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def _end(self) -> None:
        self.daemon.close()

    def start(self, **settings: str) -> None:
        """Start a daemon and wait until it serves."""
        self._lives += 1
        parts = urlsplit(self.broker.amqp_url)
        url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{self.proxy.port}").geturl()
        wanted = {"slots": "1", "side_port": str(self._side_port), "PYTHONPATH": str(INJECT)} | settings
        self.daemon = DaemonProcess(url, self._folder / f"daemon-{self._lives}.log", **wanted).start().wait_ready()

    def restart(self, **settings: str) -> None:
        """Let another daemon take over on the same side port."""
        self.daemon.close()
        self.start(**settings)

    def kill(self) -> None:
        self.daemon.kill()

    def watch(self) -> None:
        """Have Prometheus scrape the daemon."""
        self.prometheus.targets([f"127.0.0.1:{self._side_port}"])

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.daemon.running.pid, number)

    def kill_decoders(self) -> None:
        for pid in list(children(self.daemon.running.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def send(self, count: int = 1, **properties: Any) -> None:
        """Publish notes whose answers are not read."""
        with self.broker.connect() as connection:
            channel = connection.channel()
            for number in range(count):
                sample = short_notes()[number % len(short_notes())]
                wanted = {"timestamp": int(time.time()), "delivery_mode": 2} | properties
                channel.basic_publish("", "stt.requests", sample.path.read_bytes(), pika.BasicProperties(**wanted))

    def purge(self) -> None:
        with self.broker.connect() as connection:
            connection.channel().queue_purge("stt.requests")

    def until(self, look: Callable[[], Any], what: str) -> None:
        """Wait for a fact: windows of up to 40 s have to pass, some of them twice."""
        self.prometheus.wait(look, what, 5 * PATIENCE)
