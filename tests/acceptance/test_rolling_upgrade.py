"""Two versions on one queue, replaced one by one under load: nothing lost, dead or answered twice.

Both are this tree unless UPGRADE_FROM names a git revision: then the old ones run its code (`make upgrade
FROM=HEAD~40`). How long answers take before and during the change is printed, not asserted: a busy machine proves
nothing about the daemon (issue 11).

Then one caller floods the new ones while one of them is replaced: what moved to the overflow queue is served. Only
then, for daemons before 0.2.0 refuse the key of a caller.
"""

import io
import math
import os
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.ledger import Balance, Ledger, balance_line
from tests.support.load import Load, Reader, Request, Requests
from tests.support.waiting import PATIENCE, wait_for

ROOT = Path(__file__).resolve().parents[2]
StartDaemon = Callable[..., DaemonProcess]
RATE = float(
    os.environ.get("UPGRADE_RATE", "3")
)  # notes per second: well below what two processes with one slot each can do
NOTES = int(os.environ.get("UPGRADE_NOTES", "24"))
"""Answers before the change begins; a third as many between two replacements, and after the last one."""

FLOOD = 48


class Plain(Requests):
    """Short notes only, one at a time: what is measured is the change, not the mixture."""

    def burst(self) -> int:
        return 1

    def draw(self) -> Request:
        return self.plain()


def old_code(folder: Path) -> dict[str, str]:
    """The environment in which a daemon runs the old revision's code; empty for this tree's own."""
    revision = os.environ.get("UPGRADE_FROM")
    if not revision:
        return {}
    packed = subprocess.run(
        ["git", "archive", revision, "consumer", "schemas", "sttd"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    if not (folder / "sttd" / "consumer").exists():  # before 0.2.0 the package was called `consumer`
        (folder / "sttd" / "consumer").mkdir()
        (folder / "sttd" / "consumer" / "__init__.py").write_text("")
        main = "import runpy; runpy.run_module('consumer', run_name='__main__')"
        (folder / "sttd" / "consumer" / "__main__.py").write_text(main)
    where = subprocess.run(
        [sys.executable, "-c", "import sttd.consumer; print(sttd.consumer.__file__)"],
        env=os.environ | {"PYTHONPATH": str(folder)},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(folder)), "the old code is not what would run"
    return {"PYTHONPATH": str(folder)}


def p95(ledger: Ledger, since: float, until: float) -> float:
    """Seconds from publishing to the answer that 95 % of the notes asked in this time did not exceed."""
    waits = ledger.waits(since, until)
    return statistics.quantiles(waits, n=20)[-1] if len(waits) > 1 else math.nan


class Change:
    """Daemons at work under load, replaced one by one; the books of their answers."""

    def __init__(self, start: StartDaemon, broker: Broker, folder: Path) -> None:
        self._start = start
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.load = Load(lambda: broker.amqp_url, self.ledger, Plain("upgrade", seed=1), RATE)
        self._reader = Reader(lambda: broker.amqp_url, self.ledger)
        self._floods = Requests("flood", seed=1)
        self.all: list[DaemonProcess] = []

    @contextmanager
    def under_load(self) -> Iterator[None]:
        for thread in (self.load, self._reader):
            thread.start()
        self.load.flow.set()
        try:
            yield
        finally:
            self.load.stop()
            self._reader.stop()

    def start(self, name: str, **settings: str) -> DaemonProcess:
        """One more daemon that is ready."""
        daemon = self._start(slots="1", worker=name, **settings).wait_ready()
        self.all.append(daemon)
        return daemon

    def replace(self, leaving: DaemonProcess, name: str) -> None:
        """Another one first, then the end of this one; the next is not replaced at the same moment."""
        self.start(name)
        assert leaving.stop() == 0
        self.wait_for_answers(NOTES // 3)

    def flood(self) -> None:
        """Many notes at once, nearly all of one caller: more than its share of the hands there are."""
        for _ in range(FLOOD):
            self.load.add(self._floods.of_a_caller())

    def wait_for_answers(self, more: int) -> None:
        """Wait for so many answers from now on."""
        wanted = self.ledger.answers() + more
        wait_for(lambda: self.ledger.answers() >= wanted, f"{more} answers", 3 * PATIENCE)

    def end(self) -> Balance:
        """The books when all is answered."""
        self.load.flow.clear()
        wait_for(lambda: self.load.resting and not self.ledger.outstanding(), "end of the load", 3 * PATIENCE)
        return self.ledger.check(queued=())

    @property
    def moved(self) -> int:
        """How many notes went to the overflow queue."""
        return sum(line["outcome"] == "moved" for daemon in self.all for line in daemon.lines("request_done"))


@pytest.mark.slow("five daemons under load")
def test_processes_are_replaced_one_by_one_and_nobody_notices(
    start_daemon: StartDaemon, broker: Broker, tmp_path: Path
) -> None:
    """An upgrade at noon, then a flood: 0 lost, 0 dead letters, 0 second answers, and each daemon at work."""
    old = old_code(tmp_path / "old")
    change = Change(start_daemon, broker, tmp_path)
    serving = [change.start(f"old-{number}", **old) for number in range(2)]
    with change.under_load():
        change.wait_for_answers(NOTES // 3)  # the first notes warm caches
        began = time.time()
        change.wait_for_answers(NOTES)
        changing = time.time()
        for number, leaving in enumerate(serving):
            change.replace(leaving, f"new-{number}")
        changed = time.time()
        change.flood()
        change.replace(change.all[2], "new-2")
        balance = change.end()
    normal, during = p95(change.ledger, began, changing), p95(change.ledger, changing, changed)
    sys.stdout.write(
        f"p95 normal {normal:.2f} s, during the change {during:.2f} s; {balance_line(balance)}, moved {change.moved}\n"
    )
    assert balance.lost == balance.dead == balance.parked == balance.duplicates == 0
    assert balance.replied == balance.confirmed == balance.asked
    assert (change.moved > 0, broker.depth("stt.requests.overflow")) == (True, 0)
    for daemon in change.all:
        assert daemon.lines("request_done"), "one of them had nothing to do"
