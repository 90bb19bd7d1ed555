"""Turns events of the daemon's parts into metrics, health and log lines; no other module does all three.

Never changes what it observes.
"""

import asyncio

import structlog

from sttd.consumer.engine.files.download_progress import DownloadProgress
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.history import EVERY, History
from sttd.consumer.side_port.metrics import Metrics

LAG_EVERY = 0.25  # s between two measurements of the event loop's delay

BLOCKED = "the broker has blocked us (memory or disk alarm)"

log = structlog.get_logger(__name__)


class BusReporter:
    """Reports the state of the connections to metrics, health and the log (the `BusObserver` of the daemon)."""

    def __init__(self, metrics: Metrics, health: DaemonHealth, broker: str = "") -> None:
        """All connections begin as not up. `broker`: its address for people."""
        self._metrics = metrics
        self._health = health
        self._broker = broker
        self._met = False
        self._blocked_roles: frozenset[str] = frozenset()
        self.blocked_changed = asyncio.Event()
        self._up = {"consume": False, "publish": False, "direct": False}
        self._said: dict[str, str] = {}

    def connected(self, role: str) -> None:
        """See `BusObserver.connected`."""
        self._met = True
        self._set(role, up=True, reason="")
        self._said.pop(role, None)
        # For people "ready" follows.
        log.info("connected to the broker (%s)", role, action="bus_connected", role=role, people=False)

    def lost(self, role: str, reason: str) -> None:
        """See `BusObserver.lost`. The same reason again, second after second, is logged once."""
        if self._up[role]:
            self._metrics.connection_lost(role)
        self._set(role, up=False, reason=reason)
        if self._said.get(role) != reason:
            news = reason not in self._said.values()  # three connections are lost together
            self._said[role] = reason
            hint = "" if self._met else " (`sttd check` tells more)"
            said = {"action": "bus_lost", "role": role, "broker": self._broker, "reason": reason, "people": news}
            log.warning("trying the broker again: %s%s", reason, hint, **said)

    def _set(self, role: str, *, up: bool, reason: str) -> None:
        self._up[role] = up
        self._metrics.connection(role, up)
        if role == "consume":
            self._metrics.consumer_registered.set(up)
            self._health.set("consumer", up, reason)
        elif role == "publish":
            self._health.set("publisher", up and not self.is_blocked, reason or BLOCKED)

    def blocked(self, role: str, blocked: bool) -> None:
        """See `BusObserver.blocked`. Called every second; only a change has an effect."""
        before = self.is_blocked
        self._blocked_roles = self._blocked_roles | {role} if blocked else self._blocked_roles - {role}
        if self.is_blocked == before:
            return
        self.blocked_changed.set()
        self._metrics.publish_blocked(self.is_blocked)
        if self._up["publish"]:  # else there is a reason that comes first
            self._health.set("publisher", not blocked, BLOCKED)
        log.warning(
            "the broker %s",
            "takes no answers: it has a memory or disk alarm" if blocked else "takes answers again",
            action="bus_blocked",
            blocked=blocked,
        )

    @property
    def is_blocked(self) -> bool:
        """Whether the broker has stopped to read from any connection that publishes."""
        return bool(self._blocked_roles)


class BreakerReporter:
    """Reports whether request after request fails to metrics, health and the log."""

    def __init__(self, metrics: Metrics, health: DaemonHealth) -> None:
        self._metrics = metrics
        self._health = health
        health.set("breaker", True)

    def tell(self, is_open: bool, why: str) -> None:
        """See `Breaker`; readiness says why."""
        self._metrics.breaker_open.set(is_open)
        self._health.set("breaker", not is_open, f"{why}; one at a time is tried")
        if is_open:
            log.error("no more requests are taken: %s", why, action="breaker_open")
        else:
            log.info("a request succeeded; more are taken again", action="breaker_closed")


class DownloadReporter:
    """Reports a model's download to health and the log."""

    def __init__(self, health: DaemonHealth, model: str) -> None:
        """`model`: as the settings name it."""
        self._health = health
        self._model = model
        self._tenth = -1
        self._source = ""

    def tell(self, progress: DownloadProgress) -> None:
        """Take a report from the download's thread: readiness shows each, the log each whole tenth."""
        percent = 100 * progress.done // progress.total if progress.total else 0
        sentence = f"downloading {self._model}: {percent} % of {progress.total / 1e6:.0f} MB"
        self._health.set("model", False, sentence)
        if progress.done and progress.source != self._source:
            self._source = progress.source
            log.info("the model %s comes from %s", self._model, self._source, action="model_source")
        if percent // 10 != self._tenth:
            self._tenth = percent // 10
            log.info(sentence, action="model_download", done=progress.done, total=progress.total)


def log_check(check: str, ok: bool, reason: str) -> None:
    """Log that a check of health turned.

    `check`: its name; `ok`: its new state; `reason`: why it is not ok.
    """
    said = {"action": "health", "check": check, "ok": ok, "reason": reason or None}
    log.info("%s is %s", check, "ok" if ok else "not ok", people=False, **said)


async def watch_history(history: History) -> None:
    """Take the points of the status page's plots, until cancelled."""
    while True:
        await asyncio.sleep(EVERY)
        history.look()


async def watch_loop_lag(metrics: Metrics) -> None:
    """Measure how late the event loop runs its timers, until cancelled: a blocked loop would miss heartbeats."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_EVERY
        await asyncio.sleep(LAG_EVERY)
        metrics.loop_lag.observe(max(0.0, loop.time() - due))
