"""Whether the daemon can serve: a fixed list of named checks, set by consumer/observe.py and consumer/app.py.

Makes no call to any part, so reading it costs nothing and cannot hang.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

STARTING: Final = "starting"
LONGEST_REASON: Final = 300  # characters: a broker's whole stack trace is for the log


@dataclass(frozen=True, slots=True)
class Check:
    """One fact that readiness depends on. `reason` is why it is not so, for a person; no credentials, no speech."""

    ok: bool
    reason: str


class DaemonHealth:
    """Readiness is the sum of the checks; all begin as not ok, "starting".

    `on_change(check, ok, reason)` is called when a check turns, not when only its reason does (a download changes its
    reason a hundred times); `on_news()` when either does. Writers may be on any thread: a check is replaced whole.
    """

    def __init__(
        self,
        checks: Sequence[str],
        on_change: Callable[[str, bool, str], None] = lambda _check, _ok, _reason: None,
        on_news: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`checks`: their names in the order in which people should read them."""
        self._checks = dict.fromkeys(checks, Check(ok=False, reason=STARTING))
        self._on_change, self._on_news = on_change, on_news
        self._clock = clock
        self._started = clock()
        self._was_ready = False

    def set(self, check: str, ok: bool, reason: str = "") -> None:
        """Set one check.

        `reason`: why it is not ok, for a person. Raises `KeyError` for a check that was not declared: it would never be
        seen.
        """
        before = self._checks[check]
        self._checks[check] = Check(ok, "" if ok else reason[:LONGEST_REASON])
        self._was_ready = self._was_ready or self.ready
        if ok != before.ok:
            self._on_change(check, ok, self._checks[check].reason)
        if self._checks[check] != before:
            self._on_news()

    @property
    def ready(self) -> bool:
        """Whether every check is ok."""
        return all(check.ok for check in self._checks.values())

    @property
    def status(self) -> str:
        """`ok`, `starting` before the first time of being ready, `unavailable` after it."""
        if self.ready:
            return "ok"
        return "unavailable" if self._was_ready else STARTING

    @property
    def alive(self) -> dict[str, Any]:
        """What is true of any process that can still answer."""
        return {"alive": True, "uptime_seconds": round(self._clock() - self._started, 1)}

    def as_dict(self) -> dict[str, Any]:
        """`{"ready": bool, "checks": {name: {"ok": bool, "reason": str}}}`, in the declared order."""
        return {"ready": self.ready, "checks": {name: asdict(check) for name, check in self._checks.items()}}

    @property
    def summary(self) -> str:
        """One line for a person: `ok`, or the status and what is not ok, with the reasons."""
        missing = [f"{name}: {check.reason}" for name, check in self._checks.items() if not check.ok]
        return ", ".join([self.status, *missing]).replace("\n", " ")
